"""How often is the nearest neighbour of an image, by a model's embedding, of the same style and of the same class?

    python bench/nearest_label.py examples/images [MODEL ...]

Images lie in ``STYLE/CLASS/…`` below the folder. An image whose class has no other is left out of the share of classes.

Belongs here: the two shares. Does not belong here: the models (``resources.models``).
"""

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.image.decode import DecodeError, decode
from resources.models import Models
from resources.models.entries import find_entry
from resources.parallel import ordered_map

DEFAULT = ("clip_b16", "efficientnet_lite0", "sscd")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def vectors_of(name: str, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """``float32 [N, D]`` of length 1: the model's embedding of each image."""
    models, entry = Models(), find_entry(name)
    models.files.fetch(entry)
    runner, of = models.load(entry), entry.outputs[0].of
    found: list[NDArray[np.float32]] = []
    inputs = list(ordered_map(runner.prepare, images))
    for first in range(0, len(inputs), runner.batch_size):
        found.extend(runner.predict(inputs[first : first + runner.batch_size])[of])
    vectors = np.stack(found).astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def main(folder: str, *names: str) -> None:
    """Print a line for each model."""
    root, images, labels = Path(folder), [], []
    for path in sorted(path for path in root.glob("*/*/**/*") if path.suffix.lower() in SUFFIXES):
        try:
            images.append(decode(path.read_bytes()))
        except DecodeError:  # the folder may hold files that are broken on purpose
            continue
        labels.append(path.relative_to(root).parts[:2])
    styles, classes = [np.array(column) for column in zip(*labels, strict=True)]
    many = np.array([Counter(classes)[one] > 1 for one in classes])
    print(f"{len(images)} images, {len(set(styles))} styles, {len(set(classes))} classes")
    for name in names or DEFAULT:
        start = time.process_time()
        cosine = (vectors := vectors_of(name, images)) @ vectors.T
        np.fill_diagonal(cosine, -1)
        nearest = cosine.argmax(1)
        style, kind = (styles[nearest] == styles).mean(), (classes[nearest] == classes)[many].mean()
        print(f"{name}: style {style:.3f}, class {kind:.3f}; {time.process_time() - start:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
