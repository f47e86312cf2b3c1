"""The images that the image benchmark reads: two sets of JPEG made from a folder of real photos.

Belongs here: creating them, once, and always the same ones. Does not belong here: any timing.
"""

from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike

TILE = 1280, 960  # of a mosaic: photos keep about their own resolution, so that large images have real detail
SIZES = {
    "A": [(1536, 1024)] * 32,
    "B": [(3456, 2304), (4000, 3000), (4608, 3456), (4928, 3264), (5472, 3648), (6000, 4000)],
}
ABOUT = {"A": "32 photos of 1536 x 1024 (1.6 MP), JPEG q90", "B": "6 mosaics of photos, 8 to 24 MP, JPEG q90"}


def photo_set(name: str, photos: Path, target: Path) -> list[Path]:
    """The files of set ``name``, created from the JPEG files below ``photos`` unless ``target`` already has them.

    Raises:
        SystemExit: ``photos`` contains no JPEG files.
    """
    files = [target / name / f"{i:02}.jpg" for i in range(len(SIZES[name]))]
    if all(f.exists() for f in files):
        return files
    largest = sorted(photos.rglob("*.jp*g"), key=lambda p: (-p.stat().st_size, p.name))[:32]
    if not largest:
        raise SystemExit(f"{photos}: contains no JPEG files; pass a folder of photos, such as examples/images/photo")
    print(f"making set {name}: {ABOUT[name]}, from {len(largest)} photos below {photos}")
    loaded = [picture for p in largest if (picture := cv2.imread(str(p))) is not None]
    rng = np.random.default_rng(0)
    (target / name).mkdir(parents=True, exist_ok=True)
    for i, (file, (width, height)) in enumerate(zip(files, SIZES[name], strict=True)):
        if name == "A":
            picture = _crop(loaded[i % len(loaded)], width, height, rng)
        else:
            picture = np.empty((height, width, 3), np.uint8)
            for y in range(0, height, TILE[1]):
                for x in range(0, width, TILE[0]):
                    tile = picture[y : y + TILE[1], x : x + TILE[0]]
                    tile[:] = _crop(loaded[rng.integers(len(loaded))], tile.shape[1], tile.shape[0], rng)
        if not cv2.imwrite(str(file), picture, [cv2.IMWRITE_JPEG_QUALITY, 90]):
            raise SystemExit(f"{file}: not writable; free some space, or choose another folder with --work")
    return files


def _crop(picture: MatLike, width: int, height: int, rng: np.random.Generator) -> MatLike:
    """A random part of ``width`` x ``height``, enlarged only as far as necessary."""
    scale = max(1.0, (width + 1) / picture.shape[1], (height + 1) / picture.shape[0])
    grown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4) if scale > 1 else picture
    y = int(rng.integers(grown.shape[0] - height + 1))
    x = int(rng.integers(grown.shape[1] - width + 1))
    return grown[y : y + height, x : x + width]
