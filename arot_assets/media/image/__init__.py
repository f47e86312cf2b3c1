"""Still images: formats, header, pixels, and the parameters that generators leave in them."""
