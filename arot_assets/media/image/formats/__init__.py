"""What image files are made of: one module for each container format, read from bytes without decoding a pixel.

Belongs here: signatures, headers, and structural checks of the bytes (are they all there, do the checksums hold).
Does not belong here: pixels (``datasets.decode``), and judging a sample (``datasets.probe``).
"""
