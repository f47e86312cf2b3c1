"""The hostile files of tests/data/faults, for the tests of this folder."""

import csv
from pathlib import Path

FAULTS = Path(__file__).parents[1] / "data" / "faults"
ROWS = list(csv.DictReader((FAULTS / "faults.csv").read_text(encoding="utf-8").splitlines()))
JPEGS = (
    "progressive.jpg",
    "exif_orientation_6.jpg",
    "cmyk.jpg",
    "gray.jpg",
    "icc_display_p3.jpg",
    "sd_parameters_exif.jpg",
)
PNGS = (
    "palette_transparent.png",
    "rgb16.png",
    "gray_alpha.png",
    "sd_parameters.png",
    "one_pixel.png",
    "bad_crc_idat.png",
)
OTHERS = (
    "animated.gif",
    "animated.webp",
    "sample.avif",
    "sample.heic",
    "sample.bmp",
    "multipage.tiff",
    "vector.svg",
    "mp4_named.jpg",
    "sample.jxl",
)


def fault(name: str) -> bytes:
    """The bytes of one of the files."""
    return (FAULTS / name).read_bytes()
