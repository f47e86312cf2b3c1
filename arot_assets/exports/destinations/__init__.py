"""Destinations: where a finished version goes; a local folder, any other scheme, or a repository on the Hub."""
