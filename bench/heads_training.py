"""Seconds of an epoch of heads over stored embeddings, all of a sweep together, beside scikit-learn's SGD on the same data.

    python bench/heads_training.py                  # 1,000,000 x 768, float16, 10 heads
    python bench/heads_training.py --rows 100000

The vectors are random with a planted direction; what is measured is the reading, the passes and the updates. scikit-learn
trains one head after another by ``partial_fit``, on blocks of the same file as float32.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import HeadSettings
from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import Job, Targets, heads

DIMENSIONS = 768
BLOCK = 16_384
RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01]
HELD_OUT = 0.02


class Nowhere:
    """No checkpoints: the training is measured alone."""

    def load(self) -> bytes | None:
        """None."""
        return None

    def save(self, state: bytes) -> None:
        """Nothing is kept of a measurement."""
        del state


def made(folder: Path, rows: int) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """``float16 [rows, DIMENSIONS]``, memory-mapped, and which side of a noisy plane each is on."""
    random = np.random.default_rng(0)
    matrix = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (rows, DIMENSIONS))
    labels = np.empty(rows, np.int64)
    direction = random.normal(size=DIMENSIONS).astype(np.float32)
    for start in range(0, rows, BLOCK):
        block = random.standard_normal((min(BLOCK, rows - start), DIMENSIONS), np.float32)
        matrix[start : start + len(block)] = block
        noise = random.standard_normal(len(block), np.float32) * DIMENSIONS**0.5
        labels[start : start + len(block)] = block @ direction + noise * 0.3 > 0
    return np.load(folder / "vectors.npy", mmap_mode="r"), labels


def ours(vectors: NDArray[np.float16], labels: NDArray[np.int64], batch: int) -> tuple[float, float, float]:
    """Seconds and CPU seconds of an epoch of ten heads, and the accuracy of the one chosen."""
    settings = HeadSettings(
        learning_rates=RATES, weight_decays=[0.01], normalise=[False, True], epochs=1, min_steps=1, batch_size=batch
    )
    val = int(len(vectors) * HELD_OUT)
    job = Job(
        "bench",
        Task("classification", ("no", "yes"), "cross_entropy"),
        settings,
        Targets(labels, np.ones(len(labels), np.float32)),
        np.arange(val, len(vectors)),
        np.arange(val),
        Nowhere(),
        {"e.vector": vectors},
    )
    begun, worked = time.perf_counter(), time.process_time()
    fitted = heads.train(job)
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    return seconds, worked, float((fitted.logits(job.val).argmax(1) == labels[job.val]).mean())


def scikit_learn(vectors: NDArray[np.float16], labels: NDArray[np.int64]) -> tuple[float, float, float]:
    """Seconds and CPU seconds of an epoch of ten heads by ``SGDClassifier``, and the best accuracy."""
    from sklearn.linear_model import SGDClassifier

    val = int(len(vectors) * HELD_OUT)
    held_out = vectors[:val].astype(np.float32)
    best, begun, worked = 0.0, time.perf_counter(), time.process_time()
    for rate in RATES:
        for _ in range(2):  # normalised or not: the same work
            model = SGDClassifier("log_loss", learning_rate="constant", eta0=rate / 10, random_state=0)
            for start in range(val, len(vectors), BLOCK):
                block = vectors[start : start + BLOCK].astype(np.float32)
                model.partial_fit(block, labels[start : start + BLOCK], classes=[0, 1])
            best = max(best, float(model.score(held_out, labels[:val])))
    return time.perf_counter() - begun, time.process_time() - worked, best


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--without-scikit-learn", action="store_true")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors, labels = made(Path(folder), said.rows)
        seconds, worked, accuracy = ours(vectors, labels, said.batch)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{said.rows:,} x {DIMENSIONS}, 10 heads, batches of {said.batch}")
        print(
            f"  together      {seconds:7.1f} s an epoch, {worked:.1f} s of CPU, accuracy {accuracy:.4f}, {memory:.2f} GB"
        )
        if not said.without_scikit_learn:
            theirs, busy, accuracy = scikit_learn(vectors, labels)
            print(f"  scikit-learn  {theirs:7.1f} s an epoch, {busy:.1f} s of CPU, accuracy {accuracy:.4f}")
            print(f"  scikit-learn takes {busy / worked:.2f} times as much CPU; memory includes the mapped file")


if __name__ == "__main__":
    main()
