"""Web servers: the backend of ``http://`` and ``https://``, and its manners."""
