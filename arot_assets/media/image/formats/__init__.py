"""The structure of image files: one module for each container format, read from bytes without decoding a pixel.

Belongs here: signatures, headers, and structural checks of the bytes (are they complete, do the checksums match). Does
not belong here: pixels (``decode.py``), and a sample's status (``probe.py``).
"""
