"""Sources that are no folder: lists of URLs, datasets of a hub. Each is listed as ``listing.Listing``, like a folder is."""
