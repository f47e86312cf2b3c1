"""Films with known boundaries, made of photographs in motion and of real footage: what ``shots.py`` is measured on.

Belongs here: making them, with their truth in ``cuts.csv``. Does not belong here: measuring anything.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.float32]
"""``float32 [N, 144, 256, 3]`` RGB, 0-255."""
HEIGHT, WIDTH, FPS = 144, 256, 24
FILMS = 10
CUTS, DISSOLVES, FADES, FLASHES, WHIPS = 96, 45, 25, 23, 12
SEED = 20261126
EPILOG = """
Pictures are shown through a moving window, with noise; every fourth film mixes in footage. Footage has to be one shot each.

example:
  python bench/shot_films.py /tmp/shots --pictures examples/images/photo --footage bunny.mp4 launch.webm
"""


def main() -> None:
    """Write the films and ``cuts.csv``."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--footage", type=Path, nargs="*", default=[], help="films of one shot each")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    pictures = sorted(p for p in arguments.pictures.rglob("*") if p.suffix in (".jpg", ".png", ".webp"))
    footage = [frames for path in arguments.footage if len(frames := read(path)) > 40]
    plan = np.array(["cut"] * CUTS + ["dissolve"] * DISSOLVES + ["fade"] * FADES)
    rng.shuffle(plan)
    order = rng.permutation(len(pictures))
    rows: list[tuple[str, int, str, int]] = []
    flashes = set(rng.choice(len(plan), FLASHES, replace=False).tolist())
    whips = set(rng.choice(len(plan), WHIPS, replace=False).tolist())
    taken = 0
    for number, kinds in enumerate(np.array_split(plan, FILMS)):
        shots: list[tuple[Frames, list[tuple[int, int]]]] = []
        for _ in range(len(kinds) + 1):
            taken += 1
            length = int(rng.integers(52, 64)) + 24 * (taken in flashes or taken in whips)
            whole = footage[int(rng.integers(len(footage)))] if footage and rng.random() < 0.25 else None
            if whole is not None and len(whole) >= length and taken not in whips:
                start = int(rng.integers(0, len(whole) - length + 1))
                shots.append((whole[start : start + length].copy(), []))
            else:
                # now and then another part of the same picture: a cut that changes little
                again = rng.random() < 0.12
                path = pictures[order[(taken - again) % len(order)]]
                whip = taken in whips
                shots.append((moving(path, length, rng, whip), []))
            if taken in flashes:
                at, lasts = int(rng.integers(28, len(shots[-1][0]) - 30)), int(rng.integers(1, 4))
                shots[-1][0][at : at + lasts] = shots[-1][0][at : at + lasts] * 0.25 + float(rng.integers(170, 200))
                shots[-1][1].append((at, at + lasts))
        name = f"shots_{number:02d}.mp4"
        frames, truth = joined(shots, [str(kind) for kind in kinds], rng)
        write(arguments.folder / name, frames, int(rng.integers(20, 33)))
        rows += [(name, start, kind, end) for start, kind, end in truth]
    with (arguments.folder / "cuts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "frame", "kind", "end_frame"))
        writer.writerows(rows)


def read(path: Path) -> Frames:
    """A film in our size, cropped to its middle."""
    found = []
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            found.append(fitted(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
    return np.stack(found).astype(np.float32)


def fitted(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture that covers our size."""
    scale = max(HEIGHT / rgb.shape[0], WIDTH / rgb.shape[1])
    wide, high = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
    small = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_AREA)
    top, left = (high - HEIGHT) // 2, (wide - WIDTH) // 2
    return np.ascontiguousarray(small[top : top + HEIGHT, left : left + WIDTH])


def moving(path: Path, length: int, rng: np.random.Generator, whip: bool) -> Frames:
    """A photograph through a window that pans, zooms and shakes; with ``whip``, it is torn aside within eight frames."""
    rgb = np.asarray(Image.open(path).convert("RGB"), np.uint8)
    scale = max(1.7 * HEIGHT / rgb.shape[0], 1.7 * WIDTH / rgb.shape[1])
    picture = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    high, wide = picture.shape[:2]
    time = np.linspace(0, 1, length)
    ends = rng.uniform(0.1, 0.9, (2, 2))
    if rng.random() < 0.35:
        ends[1] = ends[0]
    places = ends[0] + (ends[1] - ends[0]) * time[:, None]
    if whip:
        at = length // 2
        ramp = np.clip((np.arange(length) - at) / 8, 0, 1)
        places[:, 0] = 0.05 + 0.9 * (3 * ramp**2 - 2 * ramp**3)
    zoom = 1 + rng.uniform(-0.2, 0.2) * time
    places += rng.normal(0, rng.choice([0.0, 0.002, 0.006]), places.shape)
    noise = float(rng.uniform(0.5, 4))
    frames = np.empty((length, HEIGHT, WIDTH, 3), np.float32)
    for k in range(length):
        across, down = WIDTH * zoom[k] * 1.2, HEIGHT * zoom[k] * 1.2
        x = np.clip(places[k, 0], 0, 1) * (wide - across) + across / 2
        y = np.clip(places[k, 1], 0, 1) * (high - down) + down / 2
        matrix = np.array([[across / WIDTH, 0, x - across / 2], [0, down / HEIGHT, y - down / 2]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frames[k] = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
        if whip and 0 < k - length // 2 < 8:
            frames[k] = cv2.blur(frames[k], (25, 1))
    return frames + rng.normal(0, noise, frames.shape).astype(np.float32)


def joined(
    shots: Sequence[tuple[Frames, list[tuple[int, int]]]], kinds: Sequence[str], rng: np.random.Generator
) -> tuple[Frames, list[tuple[int, str, int]]]:
    """One film, and its truth: first frame of the new shot or of the transition, kind, first frame after it."""
    out = [shots[0][0]]
    count = len(shots[0][0])
    truth = [(a, "flash", b) for a, b in shots[0][1]]
    for (frames, flashes), kind in zip(shots[1:], kinds, strict=True):
        if kind == "dissolve":
            lasts = int(rng.integers(12, 26))
            weights = (np.arange(1, lasts + 1, dtype=np.float32) / (lasts + 1))[:, None, None, None]
            mixed = out[-1][-lasts:] * (1 - weights) + frames[:lasts] * weights
            out[-1] = out[-1][:-lasts]
            out += [mixed.astype(np.float32), frames[lasts:]]
            truth.append((count - lasts, "dissolve", count))
            base = count - lasts
        elif kind == "fade":
            down, dark, up = (int(v) for v in rng.integers((8, 2, 8), (20, 10, 20)))
            level = 255.0 if rng.random() < 0.2 else 0.0
            falling = np.linspace(1, 0, down + 1, dtype=np.float32)[1:, None, None, None]
            rising = np.linspace(0, 1, up + 1, dtype=np.float32)[:-1, None, None, None]
            out[-1][-down:] = out[-1][-down:] * falling + level * (1 - falling)
            frames[:up] = frames[:up] * rising + level * (1 - rising)
            out += [np.full((dark, HEIGHT, WIDTH, 3), level, np.float32), frames]
            truth.append((count - down, "fade_out", count))
            truth.append((count, "black", count + dark))
            truth.append((count + dark, "fade_in", count + dark + up))
            base = count + dark
        else:
            out.append(frames)
            truth.append((count, "cut", count))
            base = count
        truth += [(base + a, "flash", base + b) for a, b in flashes]
        count = base + len(frames)
    return np.concatenate(out), truth


def write(path: Path, frames: Frames, crf: int) -> None:
    """Encode a film."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=Fraction(FPS), options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for packet in _packets(stream, frames):
            film.mux(packet)


def _packets(stream: "av.VideoStream", frames: Frames) -> Iterator["av.Packet[av.VideoStream]"]:
    for rgb in frames:
        frame = av.VideoFrame.from_ndarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), format="rgb24")
        yield from stream.encode(frame)
    yield from stream.encode(None)


if __name__ == "__main__":
    main()
