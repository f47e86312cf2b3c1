"""Files that need not be written again: hard links, or copies where those are not possible; and pictures that must be PNG.

Belongs here: this. Does not belong here: which files.
"""

import os
import shutil
from pathlib import Path


def link(source: Path, target: Path) -> bool:
    """Make a hard link; False where that is not possible: another disk, or a disk without links."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        return False
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where that is not possible."""
    if not link(source, target):
        shutil.copyfile(source, target)


def as_png(source: Path) -> bytes:
    """A picture of this export as PNG."""
    import cv2

    pixels = cv2.imread(str(source))
    assert pixels is not None, "it was written by this export"
    return cv2.imencode(".png", pixels)[1].tobytes()
