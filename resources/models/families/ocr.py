"""The ``ocr`` family: text in images by PaddleOCR's three networks (detection, orientation, recognition), run by ONNX Runtime.

Belongs here: the way from pixels to lines: a map of text, boxes around it, each turned upright and read. Does not belong here:
what is kept of the lines (``outputs.py``).

``options`` name the files: ``detection``, ``recognition`` and, where there is one, ``orientation``. The array is ``lines``: for
each image a list of ``(text, score, left, top, width, height, area)``, in reading order, places as shares of the image. Sizes and
thresholds are those of PP-OCR as RapidOCR runs it; the alphabet is in the recognition file's metadata (``character``).
"""

import importlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.families.onnx import Session, session
from resources.models.network import Network, Outputs, Placement

if TYPE_CHECKING:
    from PIL.Image import Image

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

VERSION = "1"
ENGINES = ("onnxruntime",)
FILES = ("*.onnx",)

LONGEST, SHORTEST = 2000, 30
"""Pixels of the sides that an image is brought between before anything is looked for."""
WIDEST = 8
"""Images wider than this many heights get black rows above and below: the detector finds no text that fills the height."""
DETECTED = 736
"""Pixels of the shorter side, at least, as the detector sees the image; both sides are multiples of ``STRIDE``."""
STRIDE = 32
IS_TEXT, IS_BOX, IS_READ = 0.3, 0.5, 0.5
"""The probability of a pixel, the mean of a box and the mean of a line's characters, from which they count."""
UNSHRINK = 1.6
"""The detector is trained on shrunken boxes: they grow by this times area / perimeter on each side (DB, arXiv 1911.08947)."""
MOST_BOXES = 1000
LINE_HEIGHT, LINE_RATIO, LINES_AT_ONCE = 48, 320 / 48, 6
TURNED = 0.9
"""Probability from which a line is taken to be upside down."""
SAME_LINE = 10
"""Pixels between the tops of boxes that are read from left to right."""

Line = tuple[str, float, float, float, float, float, float]
Quad = NDArray[np.float32]
"""``float32 [4, 2]``: x, y of the corners: top left, top right, bottom right, bottom left."""


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    detect, _ = _run(entry, folder, "detection", place)
    read, loaded = _run(entry, folder, "recognition", place)
    turned = _run(entry, folder, "orientation", place)[0] if "orientation" in entry.options else None
    alphabet = loaded.metadata
    if "character" not in alphabet:
        raise ModelError(f"model '{entry.name}': its recognition file names no characters (metadata 'character')")
    characters = ["", *alphabet["character"].splitlines(), " "]  # the first is the blank of CTC

    def predict(batch: NDArray[np.uint8]) -> Outputs:
        return {"lines": [_lines(image, detect, turned, read, characters) for image in batch]}

    size = sum((folder / path).stat().st_size for path in entry.weights.files)
    return Network(_bounded, predict, None, size, device=loaded.device)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """RapidOCR itself, over the same files; it is no dependency, and must be installed to be compared with."""
    try:
        library = importlib.import_module("rapidocr")
    except ImportError as error:
        raise ModelError(
            f"model '{entry.name}' is compared with RapidOCR: `pip install --no-deps rapidocr` with pyclipper, shapely, "
            "omegaconf and colorlog, in an environment of your own"
        ) from error
    names = {"Det": "detection", "Rec": "recognition", "Cls": "orientation"}
    said = {f"{part}.model_path": str(folder / entry.options[name]) for part, name in names.items()}
    engine = library.RapidOCR(params=said)

    def run(picture: "Image") -> Outputs:
        found = engine(np.asarray(picture)[:, :, ::-1])
        boxes = [] if found.boxes is None else found.boxes
        lines = zip(found.txts or (), found.scores or (), boxes, strict=True)
        return {"lines": [[_line(t, s, np.asarray(b, np.float32), picture.height, picture.width) for t, s, b in lines]]}

    return run


def _run(entry: ModelEntry, folder: Path, part: str, place: Placement) -> "tuple[Run, Session]":
    """How one of the networks is run, and its file, loaded."""
    path = str(entry.options.get(part))
    if path not in entry.weights.files:
        raise ModelError(
            f"model '{entry.name}': options.{part} is {path!r}, which is none of the files of its weights: "
            f"{', '.join(entry.weights.files)}"
        )
    loaded = session(entry, folder / path, place)
    return lambda batch: next(iter(loaded.run(batch).values())), loaded


def _bounded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``uint8 [H, W, 3]`` RGB -> BGR whose sides lie between ``SHORTEST`` and ``LONGEST`` where its shape allows that."""
    import cv2

    height, width = rgb.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    scale = max(scale, min(SHORTEST / min(height, width), LONGEST / max(height, width)))
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    return bgr if scale == 1 else _resized(cv2, bgr, _stride(height * scale), _stride(width * scale))


def _stride(side: float) -> int:
    return max(STRIDE, round(int(side) / STRIDE) * STRIDE)


def _resized(cv2: Any, bgr: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(bgr, (width, height)), np.uint8)


def _lines(
    bgr: NDArray[np.uint8], detect: "Run", turned: "Run | None", read: "Run", characters: Sequence[str]
) -> list[Line]:
    """The lines of one image."""
    import cv2

    height, width = bgr.shape[:2]
    border = 0
    if height <= SHORTEST or width / height > WIDEST:
        border = abs(max(width // WIDEST, SHORTEST) * 2 - height) // 2
        bgr = np.asarray(cv2.copyMakeBorder(bgr, border, border, 0, 0, cv2.BORDER_CONSTANT), np.uint8)
    quads = _in_reading_order(_detected(cv2, bgr, detect))
    pieces = [_upright(cv2, bgr, quad) for quad in quads]
    if turned is not None:
        pieces = _turned_right(cv2, pieces, turned)
    found = _read(cv2, pieces, read, characters)
    shift = np.array([0, border], np.float32)
    return [
        _line(text, score, quad - shift, height, width)
        for quad, (text, score) in zip(quads, found, strict=True)
        if text.strip() and score >= IS_READ
    ]


def _line(text: str, score: float, quad: Quad, height: int, width: int) -> Line:
    """A line with its place as shares of the image."""
    x, y = quad[:, 0].clip(0, width) / width, quad[:, 1].clip(0, height) / height
    area = 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    place = (float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y)))
    return (text, float(score), *place, area)


def _normalised(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``[H, W, 3]`` of 0-255 -> ``float32 [3, H, W]`` of -1 to 1."""
    return np.ascontiguousarray(bgr.transpose(2, 0, 1), np.float32) / np.float32(127.5) - np.float32(1)


def _detected(cv2: Any, bgr: NDArray[np.uint8], detect: "Run") -> list[Quad]:
    """Boxes around text, in pixels of the image."""
    height, width = bgr.shape[:2]
    scale = max(1.0, DETECTED / min(height, width))
    small = _resized(cv2, bgr, _stride(height * scale), _stride(width * scale))
    probability = detect(_normalised(small)[None])[0, 0]
    mask = cv2.dilate((probability > IS_TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    stretch = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
    found = []
    for contour in contours[:MOST_BOXES]:
        middle, (wide, high), angle = cv2.minAreaRect(contour)
        if min(wide, high) < 3 or _mean_inside(cv2, probability, cv2.boxPoints((middle, (wide, high), angle))) < IS_BOX:
            continue
        grown = wide * high * UNSHRINK / (2 * (wide + high))
        if min(wide, high) + 2 * grown < 5:
            continue
        corners = cv2.boxPoints((middle, (wide + 2 * grown, high + 2 * grown), angle))
        quad = _ordered(np.round(corners * stretch).clip(0, [width - 1, height - 1]).astype(np.float32))
        if min(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[0] - quad[3])) >= 4:
            found.append(quad)
    return found


def _mean_inside(cv2: Any, values: NDArray[np.float32], corners: Quad) -> float:
    """The mean of a map inside a box."""
    height, width = values.shape
    left, top = np.floor(corners.min(0)).clip(0, [width - 1, height - 1]).astype(int)
    right, bottom = np.ceil(corners.max(0)).clip(0, [width - 1, height - 1]).astype(int)
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, (corners - [left, top]).astype(np.int32)[None], 1)
    return float(cv2.mean(values[top : bottom + 1, left : right + 1], mask)[0])


def _ordered(corners: Quad) -> Quad:
    """The corners from the top left clockwise."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (side[np.argsort(side[:, 1], kind="stable")] for side in (by_x[:2], by_x[2:]))
    return np.stack([left[0], right[0], right[1], left[1]])


def _in_reading_order(quads: list[Quad]) -> list[Quad]:
    """From top to bottom, and from left to right where tops are close."""
    line, top, keyed = 0, -math.inf, []
    for quad in sorted(quads, key=lambda q: float(q[0, 1])):
        line += float(quad[0, 1]) - top >= SAME_LINE
        top = float(quad[0, 1])
        keyed.append((line, float(quad[0, 0]), quad))
    return [quad for _, _, quad in sorted(keyed, key=lambda k: k[:2])]


def _upright(cv2: Any, bgr: NDArray[np.uint8], quad: Quad) -> NDArray[np.uint8]:
    """What is inside a box, as a rectangle; one that is much higher than wide is turned by a quarter."""
    a, b, c, d = quad
    width = int(max(np.linalg.norm(a - b), np.linalg.norm(c - d)))
    height = int(max(np.linalg.norm(a - d), np.linalg.norm(b - c)))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    how = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    piece = cv2.warpPerspective(bgr, cv2.getPerspectiveTransform(quad, target), (width, height), **how)
    return np.ascontiguousarray(np.rot90(piece) if height >= 1.5 * width else piece, np.uint8)


def _strip(cv2: Any, piece: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """A line as its networks see it: ``LINE_HEIGHT`` pixels high, at most ``width`` wide, zeros to its right."""
    wide = min(width, math.ceil(LINE_HEIGHT * piece.shape[1] / piece.shape[0]))
    strip = np.zeros((3, LINE_HEIGHT, width), np.float32)
    strip[:, :, :wide] = _normalised(_resized(cv2, piece, LINE_HEIGHT, wide))
    return strip


def _turned_right(cv2: Any, pieces: list[NDArray[np.uint8]], turned: "Run") -> list[NDArray[np.uint8]]:
    """Lines that are upside down are turned."""
    found = []
    for start in range(0, len(pieces), LINES_AT_ONCE):
        some = pieces[start : start + LINES_AT_ONCE]
        probabilities = turned(np.stack([_strip(cv2, piece, 192) for piece in some]))
        over = probabilities[:, 1] > TURNED
        found += [np.ascontiguousarray(p[::-1, ::-1]) if o else p for p, o in zip(some, over, strict=True)]
    return found


def _read(cv2: Any, pieces: list[NDArray[np.uint8]], read: "Run", characters: Sequence[str]) -> list[tuple[str, float]]:
    """Text and score of each line; lines of similar length are read together."""
    ratios = [piece.shape[1] / piece.shape[0] for piece in pieces]
    order = sorted(range(len(pieces)), key=lambda k: ratios[k])
    found: dict[int, tuple[str, float]] = {}
    for start in range(0, len(order), LINES_AT_ONCE):
        some = order[start : start + LINES_AT_ONCE]
        width = int(LINE_HEIGHT * max(LINE_RATIO, *(ratios[k] for k in some)))
        scores = read(np.stack([_strip(cv2, pieces[k], width) for k in some]))
        found |= {k: _decoded(one, characters) for k, one in zip(some, scores, strict=True)}
    return [found[k] for k in range(len(pieces))]


def _decoded(scores: NDArray[np.float32], characters: Sequence[str]) -> tuple[str, float]:
    """``[T, characters]`` of CTC -> the text, and the mean probability of its characters."""
    best = scores.argmax(1)
    kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
    if not kept.any():
        return "", 0.0
    return "".join(characters[k] for k in best[kept]), float(scores.max(1)[kept].mean())
