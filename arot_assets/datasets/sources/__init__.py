"""Sources that are no folder: lists of URLs, datasets of a hub. Each is listed as ``objects.Listing``, like a folder is."""
