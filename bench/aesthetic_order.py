"""The order of an aesthetic score on pictures that were damaged on purpose.

    python bench/aesthetic_order.py tests/data/degraded [HEADS]

The folder has ``NAME__original.jpg`` beside ``NAME__jpeg_q05.jpg``, ``NAME__blur_s4.jpg`` and ``NAME__noise_s30.jpg``. HEADS is a
folder with the head's file; without it the file is fetched from its public address. The image tower is that of ``clip_b16``.

Belongs here: the count of the damaged pictures that score less than their original, and by how much. Does not belong here: the
models (``resources.models``).
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DAMAGED = ("jpeg_q05", "blur_s4", "noise_s30")
HEAD, TOWER = "laion_aesthetic_b16", "clip_b16"


def scores(images: list[Path], heads: str) -> NDArray[np.float32]:
    """The score of each image, about 1-10."""
    from PIL import Image

    from resources.models import Models
    from resources.models.entries import find_entry
    from resources.models.entry import Store
    from resources.models.families.head import read_head
    from resources.models.heads import Heads

    models, entry = Models(), find_entry(HEAD)
    if heads:
        entry = replace(entry, weights=Store(str(Path(heads).resolve()), entry.weights.files))
    head = read_head(entry, models.files.fetch(entry))
    models.files.fetch(find_entry(TOWER))
    tower, vectors = models.get(TOWER), []
    for image in images:
        rgb = np.asarray(Image.open(image).convert("RGB"))
        vectors.append(tower.predict([tower.prepare(rgb)])["image_embeds"][0])
    found: NDArray[np.float32] = Heads({"score": head}).predict(np.stack(vectors))["score"].ravel()
    return found


def main(folder: str, heads: str = "") -> None:
    """Print how many damaged pictures score less than their original, and the mean fall of each kind."""
    originals = sorted(Path(folder).glob("*__original.jpg"))
    kinds = ("original", *DAMAGED)
    images = [path.with_name(path.name.replace("original", kind)) for path in originals for kind in kinds]
    found = scores(images, heads).reshape(len(originals), len(kinds))
    falls = found[:, :1] - found[:, 1:]
    print(f"{(falls > 0).sum()} of {falls.size} damaged pictures of {len(originals)} score less than their original")
    for kind, fall in zip(DAMAGED, falls.T, strict=True):
        print(f"  {kind}: less by {fall.mean():.2f} ({fall.min():.2f} to {fall.max():.2f})")
    print(f"  originals: {found[:, 0].min():.2f} to {found[:, 0].max():.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
