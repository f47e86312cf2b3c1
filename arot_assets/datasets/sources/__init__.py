"""Sources that are not folders: lists of URLs, datasets on a hub. Each is listed as ``objects.Listing``, like a
folder."""
