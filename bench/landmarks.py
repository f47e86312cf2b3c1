"""How far are the points of hands and people from MediaPipe's own, and what do they cost beside it?

Belongs here: both over the same decoded images, in one process, on one thread of ours. Does not belong here: MediaPipe's graphs
(``resources/models/mediapipe_graph.py``). MediaPipe has to be installed: `arot models verify hands` says how.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from arot_assets.markdown import write_table
from resources.models import Models
from resources.models.entries import find_entry
from resources.models.outputs import Landmarks
from resources.models.which_family import family_of

ROOT = Path(__file__).parents[1]
KINDS = (".jpg", ".jpeg", ".png", ".webp")
PEERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "hands": ("hands", "Hands", {"max_num_hands": 10}),
    "pose_landmarks": ("pose", "Pose", {"model_complexity": 1}),
}
"""Entry -> module, class and arguments of MediaPipe's solution, whose graph stays open between images."""
Picture = tuple[str, Image.Image]
Row = tuple[float, ...]


def main() -> None:
    """Compare, and print a table or write MediaPipe's answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--answers", type=Path, help="write MediaPipe's answers into this file, as tests keep them")
    asked = parser.parse_args()
    files = [file for path in asked.images for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    pictures = [(str(file), opened(file)) for file in files if file.suffix.lower() in KINDS]
    models = Models(device="cpu")
    if asked.answers:
        asked.answers.write_text(answers(models, pictures), encoding="utf-8")
        return
    heads = (
        "model",
        "images",
        "found",
        "alike",
        "x, y",
        "z",
        "visibility",
        "score",
        "ours, CPU ms",
        "MediaPipe, CPU ms",
    )
    print(write_table(heads, [compared(models, name, pictures) for name in PEERS]))


def opened(file: Path) -> Image.Image:
    """RGB, without what is transparent."""
    picture = Image.open(file)
    return (picture.convert("RGBA") if "transparency" in picture.info else picture).convert("RGB")


def answers(models: Models, pictures: Sequence[Picture]) -> str:
    """What MediaPipe says of each image, as JSON with a line for each thing."""
    told = {name: reference(models, name) for name in PEERS}
    said = {
        Path(file).resolve().relative_to(ROOT).as_posix(): {
            name: [[round(number, 6) for number in row] for row in tell(picture)] for name, tell in told.items()
        }
        for file, picture in pictures
    }
    made = {"made": "MediaPipe 0.10.21, by python bench/landmarks.py IMAGES --answers FILE"}
    return (
        json.dumps(made | said, indent=None, separators=(",", ":"))
        .replace('"examples', '\n"examples')
        .replace('"tests', '\n"tests')
        + "\n"
    )


def reference(models: Models, name: str) -> Callable[[Image.Image], list[Row]]:
    """MediaPipe's answer as rows of the family ``landmarks``."""
    entry = find_entry(name)
    run = family_of(entry).reference(entry, models.files.fetch(entry))
    return lambda picture: list(run(picture)["landmarks"][0])


def compared(models: Models, name: str, pictures: Sequence[Picture]) -> tuple[Any, ...]:
    """A line of the table: the largest differences, medians over things in brackets, and the CPU time of an image."""
    tell, runner = reference(models, name), models.get(name)
    (output,) = runner.entry.outputs
    assert isinstance(output, Landmarks)
    each = 4 if output.visibility else 3
    found, alike, apart = 0, 0, {part: list[float]() for part in ("xy", "z", "visibility", "score")}
    for _, picture in pictures:
        ours = runner.predict([runner.prepare(np.asarray(picture))])["landmarks"][0]
        theirs = tell(picture)
        found += len(theirs)
        alike += len(ours) == len(theirs)
        for one, other in zip(sorted(ours), sorted(theirs), strict=False):
            distance = np.abs(np.subtract(one, other))
            points = distance[7:].reshape(-1, each)
            apart["score"].append(float(distance[2]))
            apart["xy"].append(float(points[:, :2].max()))
            apart["z"].append(float(points[:, 2].max()))
            apart["visibility"].append(float(points[:, 3:].max(initial=0)))
    pixels = [np.asarray(picture) for _, picture in pictures]
    module, kind, arguments = PEERS[name]
    peer = getattr(importlib.import_module(f"mediapipe.python.solutions.{module}"), kind)(
        static_image_mode=True, **arguments
    )
    costs = (
        cost(lambda rgb: runner.predict([runner.prepare(rgb)]), pixels),
        cost(peer.process, [np.ascontiguousarray(rgb) for rgb in pixels]),
    )
    largest = [f"{max(values):.5f} ({np.median(values):.5f})" for values in apart.values()]
    return (f"`{name}`", len(pictures), found, alike, *largest, *(f"{ms:.1f}" for ms in costs))


def cost(run: Callable[[Any], Any], images: Sequence[Any]) -> float:
    """CPU milliseconds of all threads an image; what is loaded at first is not counted."""
    run(images[0])
    start = time.process_time()
    for image in images:
        run(image)
    return (time.process_time() - start) / len(images) * 1000


if __name__ == "__main__":
    main()
