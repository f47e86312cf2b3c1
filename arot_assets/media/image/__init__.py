"""Still images: formats, header, pixels, and the parameters that generators store in them."""
