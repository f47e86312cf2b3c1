"""Web servers: the backend of ``http://`` and ``https://``, and polite access to them."""
