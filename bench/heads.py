"""How fast are stored embeddings scored? Many heads in one pass, beside each alone in torch, and beside the bare products.

Belongs here: heads of LAION's shapes with random weights, the ways to score, the report. Values are compared with float64.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import results
from numpy.typing import NDArray

from arot_assets.markdown import write_table
from arot_assets.metrics.head_rows import head_outputs
from arot_assets.metrics.vectors import vectors_of
from resources.models.heads import BLOCK, Head, Heads, Layer
from resources.storage import Storage
from resources.tables import StoreFile, Tables

DIMENSIONS = 768
HEADS = 5
MLP = (DIMENSIONS, 1024, 128, 64, 16, 1)
"""The layers of LAION's second aesthetic predictor."""
CORES = 2
"""Rates are of so many cores that do nothing else."""
LIMITS = {"five without activations": 500_000, "five MLP": 35_000}
"""Rows a second that are asked for, on two cores with bf16."""


def stack(random: np.random.Generator, activation: str) -> Head:
    """A head of LAION's shape."""
    layers = []
    for before, after in pairwise(MLP):
        scale = (
            1.0 if before == DIMENSIONS else 1 / np.sqrt(before)
        )  # of unit vectors: what they say outweighs the biases
        weight = (random.normal(size=(after, before)) * scale).astype(np.float32)
        last = after == MLP[-1]
        layers.append(Layer(weight, random.normal(size=after).astype(np.float32), "none" if last else activation))  # type: ignore[arg-type]
    return Head(tuple(layers), normalise=True)


def exact(head: Head, vectors: NDArray[Any]) -> NDArray[np.float64]:
    """What a head gives, in float64."""
    found = vectors.astype(np.float64)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    for layer in head.layers:
        found = found @ layer.weight.T.astype(np.float64) + layer.bias
        found = np.maximum(found, 0) if layer.activation == "relu" else found
    return found


def alone(heads: Mapping[str, Head]) -> Callable[[NDArray[Any]], None]:
    """Each head for itself: torch's layers in float32, as the published code runs them, in blocks of the same size."""
    import torch
    from torch import nn

    modules = []
    for head in heads.values():
        layers: list[nn.Module] = []
        for layer in head.layers:
            linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
            linear.load_state_dict({"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)})
            layers += [linear, *([nn.ReLU()] if layer.activation == "relu" else [])]
        modules.append(nn.Sequential(*layers).eval())

    def run(vectors: NDArray[Any]) -> None:
        with torch.inference_mode():
            for module in modules:
                for start in range(0, len(vectors), BLOCK):
                    block = torch.from_numpy(vectors[start : start + BLOCK]).float()
                    module(nn.functional.normalize(block, dim=1))

    return run


def bare(heads: Mapping[str, Head], dtype: str) -> Callable[[NDArray[Any]], None]:
    """The products of the first layers alone, of one block over and over, already widened: what the machine can do at most."""
    import torch

    widths = sum(head.layers[0].weight.shape[0] for head in heads.values())
    weight = torch.randn(DIMENSIONS, widths).to(getattr(torch, dtype))
    block = torch.randn(BLOCK, DIMENSIONS).to(getattr(torch, dtype))

    def run(vectors: NDArray[Any]) -> None:
        with torch.inference_mode():
            for _ in range(0, len(vectors), BLOCK):
                block @ weight

    return run


def timed(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of each way, of all threads together: medians of rounds that alternate.

    On a machine that others use the clock tells how busy they are. Threads that wait for each other spin, which counts: use one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):  # the first one warms up
        for name, way in ways.items():
            start = time.process_time()
            way()
            if number:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in seconds.items()}


def measure(
    title: str, heads: Mapping[str, Head], vectors: NDArray[Any], rounds: int, precisions: list[str]
) -> list[list[Any]]:
    """The rows of one kind of heads."""
    from resources.models.heads import folded

    short = {name: folded(head) for name, head in heads.items()}
    stacks = {precision: Heads(heads, precision=precision) for precision in precisions}
    ways: dict[str, Callable[[], object]] = {"each alone, torch float32": lambda: alone_run(vectors)}
    alone_run = alone(heads)
    products = {precision: bare(short, precision) for precision in precisions}
    for precision in precisions:
        ways[f"ours, {precision}"] = lambda s=stacks[precision]: s.predict(vectors)  # type: ignore[misc]
        ways[f"bare product of the first layers, {precision}"] = lambda p=products[precision]: p(vectors)  # type: ignore[misc]
    seconds = timed(ways, rounds)
    sample = vectors[:2000]
    expected = {name: exact(head, sample) for name, head in heads.items()}
    lines = []
    for name, took in seconds.items():
        precision = name.rsplit(" ", 1)[-1]
        error = ""
        if name.startswith("ours"):
            found = stacks[precision].predict(sample)
            worst = max(float(np.abs(found[n] - expected[n]).max() / expected[n].std()) for n in heads)
            error = f"{worst:.1e}"
        rate = CORES * len(vectors) / took
        product = seconds.get(f"bare product of the first layers, {precision}", took) / took
        share = f"{product:.2f}" if name.startswith("ours") else ""
        against = f"{seconds['each alone, torch float32'] / took:.1f} x"
        limit = f"{rate / LIMITS[title]:.2f} x {LIMITS[title]:,}" if name.startswith("ours") else ""
        lines.append([title, name, round(rate), against, share, limit, error])
    return lines


def from_files(vectors: NDArray[Any], heads: Heads, rounds: int) -> list[list[Any]]:
    """Reading the stored vectors of shards of 5,000, and scoring them."""
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(store=folder, storage=Storage())
        places = []
        for start in range(0, len(vectors), 5000):
            part = vectors[start : start + 5000]
            column = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), DIMENSIONS)
            places.append(StoreFile(f"{start:09}.parquet"))
            tables.write(pa.table({"vector": column}), places[-1])

        def read() -> list[NDArray[Any]]:
            return [vectors_of(tables.read(place)["vector"]) for place in places]

        def score() -> list[Any]:
            return [head_outputs(heads, tables.read(place)["vector"]) for place in places]

        found = timed({"read the Parquet files": read, "read and score, float32": score}, rounds)
    each = len(vectors) / found["read the Parquet files"]
    return [
        [
            "five without activations, from Parquet",
            name,
            round(CORES * len(vectors) / took),
            "",
            f"{len(vectors) / took / each:.2f}",
            "",
            "",
        ]
        for name, took in found.items()
    ]


def main() -> None:
    """Measure, print, and with --record keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(asked.rows, DIMENSIONS)).astype(np.float16)
    linear = {f"linear{n}": stack(random, "none") for n in range(HEADS)}
    deep = {f"mlp{n}": stack(random, "relu") for n in range(HEADS)}
    few = vectors[: asked.rows // 10]
    lines = [
        *measure("five without activations", linear, vectors, asked.rounds, ["float32"]),
        *measure("five MLP", deep, few, asked.rounds, ["float32", "bfloat16"]),
        *from_files(vectors, Heads(linear), asked.rounds),
    ]
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    has = ", ".join(name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name} " in flags)
    head = (
        "heads",
        "way",
        "rows in a second of two cores",
        "against each alone",
        "share of the bare product or read",
        "against what is asked",
        "largest difference from float64, in spreads",
    )
    text = (
        f"{asked.rows:,} vectors of {DIMENSIONS} float16 numbers (a tenth of them for the MLP), heads of the shape {MLP} with a "
        f"normalised input; {asked.threads} thread(s), CPU time, medians of {asked.rounds} alternating rounds, load average "
        f"{os.getloadavg()[0]:.1f}. The CPU has {has}: without bf16 instructions torch emulates bfloat16. The figures that are "
        "asked for are for two cores that have them.\n\n"
        + write_table(head, lines, right=("rows in a second of two cores",))
    )
    print(text)
    if asked.record:
        results.append("Heads over stored embeddings", text)


if __name__ == "__main__":
    main()
