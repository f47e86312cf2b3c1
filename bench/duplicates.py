"""Duplicates: how fast every near pair is found, and how many of the known ones.

    python bench/duplicates.py hashes [COUNT]        all pairs within 6 bits of clumped hashes
    python bench/duplicates.py embeddings [COUNT]    all pairs of vectors of 768 numbers with a cosine of at least 0.97
    python bench/duplicates.py known FOLDER          precision and recall on tests/data/near_duplicates or a folder like it
    python bench/duplicates.py others FOLDER         the same of imagededup and cleanvision, where they are installed

Belongs here: the measurements. Does not belong here: the searches (``arot_assets.duplicates``).

Hashes of real pictures clump: of a million, most are near a few others, and some near hundreds. Here an eighth as many centres
have each its neighbours, four random bits apart at most, and one centre in a thousand has a hundred times as many.
"""

import csv
import itertools
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS, WIDTH, COSINE = 6, 768, 0.97


def clumped(count: int, seed: int) -> NDArray[np.uint64]:
    """Hashes as real ones are."""
    random = np.random.default_rng(seed)
    centres = random.integers(0, 2**63, count // 8, np.uint64)
    weights = np.ones(len(centres))
    weights[::1000] = 100
    found = centres[random.choice(len(centres), count, p=weights / weights.sum())]
    for _ in range(4):
        found ^= np.uint64(1) << random.integers(0, 64, count).astype(np.uint64)
    return found


def measure_hashes(count: int) -> None:
    """Time the search for plain and mirrored pairs."""
    from arot_assets.duplicates.hamming import near_pairs

    hashes, mirrored = np.unique(clumped(count, 0)), clumped(count, 1)
    near_pairs(hashes[:1000], mirrored[:1000], BITS)  # compiles
    started, busy = time.perf_counter(), time.process_time()
    plain, turned = near_pairs(hashes, mirrored[: len(hashes)], BITS)
    seconds = f"{time.perf_counter() - started:.1f} s, {time.process_time() - busy:.1f} s of CPU"
    print(f"{len(hashes):,} distinct hashes: {len(plain.first):,} pairs, {len(turned.first):,} mirrored, {seconds}")


def measure_embeddings(count: int) -> None:
    """Time the exact comparison of all vectors with all."""
    import torch

    from arot_assets.duplicates.cosine import similar_pairs

    device = "cuda" if torch.cuda.is_available() else "cpu"
    random = np.random.default_rng(0)
    vectors = random.standard_normal((count, WIDTH), np.float32)
    copies = count // 20
    noise = 0.1 * random.standard_normal((copies, WIDTH), np.float32)
    vectors[-copies:] = vectors[:copies] + noise
    similar_pairs(vectors[:5000], COSINE, device)
    started = time.perf_counter()
    found = similar_pairs(vectors, COSINE, device)
    seconds = time.perf_counter() - started
    print(f"{count:,} x {WIDTH} on {device}: {len(found.first):,} of {copies:,} known pairs, {seconds:.1f} s")


def measure_known(folder: Path) -> None:
    """Precision and recall by distance, over the pairs that the truth names."""
    from arot_assets.media.image.decode import decode
    from arot_assets.media.image.view import Image
    from arot_assets.metrics.registry import get_metric

    names, pairs, same = _truth(folder)
    metric = get_metric("phash")
    assert metric.compute is not None, "phash is a metric of images"
    rows = {name: metric.compute(Image(decode((folder / name).read_bytes()))) for name in names}
    for bits in (4, 6, 8, 10, 12):
        _tell(f"{bits:>2} bits", {p for p in pairs if _apart(rows[p[0]], rows[p[1]]) <= bits}, same)


def measure_others(folder: Path) -> None:
    """The pairs that two other libraries find, with the settings that they have of themselves."""
    from cleanvision import Imagelab
    from imagededup.methods import DHash, PHash

    names, _, same = _truth(folder)
    for method in (PHash(), DHash()):
        found = method.find_duplicates(image_dir=str(folder))
        _tell(f"imagededup {type(method).__name__}", {(a, b) for a in names for b in found[a] if a < b}, same)
    lab = Imagelab(filepaths=[str(folder / name) for name in names])
    lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, n_jobs=1, verbose=False)
    sets = [s for kind in ("near_duplicates", "exact_duplicates") for s in lab.info[kind]["sets"]]
    groups = [sorted(Path(file).name for file in one) for one in sets]
    _tell("cleanvision", {pair for group in groups for pair in itertools.combinations(group, 2)}, same)


Pair = tuple[str, str]


def _truth(folder: Path) -> tuple[list[str], list[Pair], set[Pair]]:
    """The files, all pairs of them, and those that show the same."""
    with (folder / "truth.csv").open() as file:
        names = sorted({Path(row["file_b"]).name for row in csv.DictReader(file)})
    pairs = list(itertools.combinations(names, 2))
    return names, pairs, {pair for pair in pairs if pair[0].split("__")[0] == pair[1].split("__")[0]}


def _tell(what: str, found: set[Pair], same: set[Pair]) -> None:
    hit = len(found & same)
    print(f"{what}: precision {hit / max(1, len(found)):.3f}, recall {hit / len(same):.3f} of {len(same)} pairs")
    for kind in ("half_size", "jpeg_q30", "bright10", "mirrored", "crop80"):
        some = {p for p in same if any(f"__{kind}" in n for n in p) and any("__original" in n for n in p)}
        print(f"     {kind}: {len(found & some)} of {len(some)}")


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    pairs = (("phash", "phash"), ("mirrored", "phash"), ("phash", "mirrored"))
    return min((int(one[a]) ^ int(other[b])).bit_count() for a, b in pairs)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what in ("known", "others"):
        {"known": measure_known, "others": measure_others}[what](Path(rest[0]))
    else:
        count = int(rest[0]) if rest else 1_000_000
        {"hashes": measure_hashes, "embeddings": measure_embeddings}[what](count)
