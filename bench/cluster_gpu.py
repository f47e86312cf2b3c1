"""What does Ray cost beside a GPU? A model's table by this process, by one unit of Ray with the GPU, and by two with a half each.

Belongs here: the rounds, the comparison. Does not belong here: cost on CPUs (``cluster.py``), the model (``models.py``).
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import results
import yaml
from cluster import Made, Spent, differences, seconds_of, spent_by
from models import ROOT, WHITE_SQUARE, entry_of
from photo_sets import photo_set

from resources.compute import Compute, Local, Needs, compute_of
from resources.models import Models
from resources.models.entries import TYPE

EPILOG = """
what is measured: one step of a model with random weights over JPEG of 1.6 MP, new tables each time, loading the model
included: each step is a process of its own, and Ray starts an actor for it.

example: python bench/cluster_gpu.py --model wd_vit_large --precision bfloat16 --photos 4000
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="wd_vit_large", choices=["wd_vit_large", "wd_eva02_large", "wd_swinv2"])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--photos", type=int, default=8000)
    parser.add_argument("--shard", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-record", action="store_true", help="print only")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arot-cluster-") as folder:
        text = measure(Path(folder), said)
    print(text)
    if not said.no_record:
        results.append("Ray on one GPU", text)


def measure(folder: Path, said: argparse.Namespace) -> str:
    """The report."""
    import torch

    project = project_with(folder, said.model)
    source = folder / "photos"
    source.mkdir()
    files = photo_set("A", ROOT / "examples" / "images" / "photo", folder)
    for n in range(said.photos):
        (source / f"{n:05}.jpg").write_bytes(files[n % len(files)].read_bytes() + n.to_bytes(4, "big"))
    os.environ |= {"AROT_PROJECT": str(project), "RAY_USAGE_STATS_ENABLED": "0", "AROT_MODELS": str(folder / "cache")}
    cores = len(os.sched_getaffinity(0))
    ways = {
        "this process": ("", 0.0, 0),
        "Ray, one unit": ("ray", 1.0, cores),
        "Ray, two units": ("ray", 0.5, cores // 2),
    }
    spent: dict[str, list[Spent]] = {way: [] for way in ways}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    told = []
    for n in range(said.rounds):
        for way, (engine, gpus, unit_cores) in ways.items():
            os.environ |= {"AROT_UNIT_GPUS": f"{gpus:g}", "AROT_UNIT_CORES": f"{max(1, unit_cores)}"}
            store = folder / f"{way} {n}"
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:
                took, rate = own.submit(step, engine, store, source, said).result()
            spent[way].append(took)
            rates[way].append(rate)
            print(f"{way}: {took.seconds:.1f} s, then {rate:,.0f} images/s", flush=True)
            told += [f"{way}: {name} differs" for name in differences(folder / "this process 0", store)]
            if store != folder / "this process 0":
                shutil.rmtree(store)
    alone = seconds_of(spent["this process"])
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    lines = [
        f"{name}, {cores} cores; {said.model} in {said.precision}, {said.photos} JPEG of 1.6 MP, {said.shard} a unit, "
    ]
    lines[0] += f"median of {said.rounds}; the model is loaded in that time."
    lines += ["", "| where | s | time / this process | images/s after the first unit | of this process |"]
    lines += ["|---|---|---|---|---|"]
    usual = {way: statistics.median(found) for way, found in rates.items()}
    for way, rounds in spent.items():
        seconds = seconds_of(rounds)
        share = usual[way] / usual["this process"]
        lines.append(f"| {way} | {seconds:.1f} | {seconds / alone:.2f} | {usual[way]:,.0f} | {share:.0%} |")
    return "\n".join([*lines, "", "; ".join(told) or "All tables are the same, bit for bit."])


def step(engine: str, store: Path, source: Path, said: argparse.Namespace) -> tuple[Spent, float]:
    """The model's table, once Ray is joined; and images a second after the first unit."""
    from arot_assets.datasets.presence import Shards
    from arot_assets.datasets.turns import Unit, work_on
    from arot_assets.metrics.units import build_metric_unit

    compute: Compute = compute_of(engine) if engine else Local()
    made = Made(compute, store, source, said.shard)
    r, models = made.resources, Models(device=said.device, precision=said.precision)
    work = partial(build_metric_unit, r.storage, r.warehouse, models, made.declared, None, Shards(r.warehouse, "d"))
    unit_of = partial(Unit.of, "d", names=("bench_model",), run="bench")
    done: dict[str, float] = {}

    def run() -> None:
        work_on(compute, r.tables, made.shards, unit_of, work, ended, Needs(device=True))

    def ended(unit: Unit, _: object) -> None:
        done[unit.shard] = time.monotonic()

    spent = spent_by(run)
    assert sorted(done) == made.shards
    first, last = min(done.values()), max(done.values())
    return spent, said.shard * (len(done) - 1) / (last - first)


def project_with(folder: Path, name: str) -> Path:
    """A project with the model as an entry of its own."""
    entry, project = entry_of(name, folder / "weights"), folder / "project"
    (project / "models").mkdir(parents=True)
    how = WHITE_SQUARE
    said = {
        "family": entry.family,
        "weights": {"uri": str(folder / "weights" / name), "files": dict(entry.weights.files)},
        "preprocessing": {
            "size": how.size,
            "resize": how.resize,
            "colour": [*how.colour],
            "channels": how.channels,
            "mean": [*how.mean],
            "std": [*how.std],
        },
        "outputs": [{"kind": "embedding", "size": 1024, "meaning": "of random weights"}],
        "precision": "float16",
        "licence": "none",
        "parameters": entry.parameters,
        "reference": "none",
        "options": dict(entry.options),
    }
    (project / "models" / "bench_model.yaml").write_text(yaml.safe_dump({"type": TYPE, "attributes": said}))
    return project


if __name__ == "__main__":
    main()
