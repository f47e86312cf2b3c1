"""Ray with a real GPU makes the tables of one process, bit for bit, on shares of it, whatever worker is killed.

``AROT_TEST_DEVICE=cpu`` rehearses all of it where there is none: Ray then pretends to have one.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from arot_assets.datasets.presence import Shards
from arot_assets.datasets.turns import Unit, work_on
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.metrics.units import build_metric_unit
from resources.compute import Compute, ComputeError, Local, Needs, compute_of
from resources.defaults import Resources
from resources.models import Models
from resources.models.entries import TYPE
from resources.models.runner import DEVICE_MEMORY
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from tests.conftest import EXAMPLES, Dataset
from tests.end_to_end.on_cluster import HEAD, IMAGES, captioned, dies_once, files_of, project_with_base, trained
from tests.engines import Watched
from tests.models.vlm import qwen2_vl
from tests.servers.ray_nodes import PATIENT, Node, importable
from tests.servers.swift import free_ports

DEVICE = os.environ.get("AROT_TEST_DEVICE", "cuda")
pytestmark = [pytest.mark.slow, *([pytest.mark.gpu] if DEVICE == "cuda" else [])]
MODEL = Needs(device=True)
TAGGER = "tagger"
KINDS = ("mountain", "sea", "spaceport", "space", "desert")
PHOTOS = [file for kind in KINDS for file in sorted((EXAMPLES / "photo" / kind).glob("*.jpg"))]
PRECISIONS = ("float32", "bfloat16") if DEVICE == "cuda" else ("float32",)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """``ray start --head`` as a person starts it, with what it finds on this machine."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    import ray

    (port,) = free_ports(1)
    told = ["--head", f"--port={port}", "--include-dashboard=false", "--object-store-memory=100000000"]
    told += [f"--num-cpus={max(4, os.cpu_count() or 1)}"]
    told += ["--num-gpus=1", '--resources={"accelerator_type:H100": 1}'] if DEVICE == "cpu" else []
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="arot-ray-") as folder:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        environment = {**os.environ, **PATIENT, "PYTHONPATH": importable()}
        head = Node("head", Path(folder), [*told, f"--temp-dir={folder}"], environment)
        yield f"127.0.0.1:{port}"
        ray.shutdown()
        head.kill()


@pytest.fixture
def halves(address: str, monkeypatch: pytest.MonkeyPatch) -> Compute:
    """Two units share the GPU, with two cores each."""
    monkeypatch.setenv("AROT_UNIT_GPUS", "0.5")
    monkeypatch.setenv("AROT_UNIT_CORES", "2")
    return compute_of("ray", address)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with photos of several classes."""
    folder = tmp_path / "source"
    for picture in PHOTOS:
        (folder / picture.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, folder / picture.parent.name / picture.name)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with models of its own: a ViT with 5 million random weights, and ``base``."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "project"
    project_with_base(folder)
    arguments = {"img_size": 224, "embed_dim": 192, "depth": 12, "num_heads": 3, "num_classes": 12}
    torch.manual_seed(0)
    module = timm.create_model("vit_base_patch16_224", pretrained=False, **arguments)
    weights = folder / "tagger"
    weights.mkdir()
    save_file(module.state_dict(), weights / "model.safetensors")
    said = {
        "family": "timm",
        "weights": {"uri": str(weights), "files": {"model.safetensors": hashed(weights / "model.safetensors")}},
        "preprocessing": {"size": 224, "resize": "squash", "mean": [0.5] * 3, "std": [0.5] * 3},
        "outputs": [{"kind": "embedding", "size": 12, "of": "logits", "meaning": "of random weights"}],
        "precision": "bfloat16",
        "licence": "MIT",
        "parameters": sum(p.numel() for p in module.parameters()),
        "reference": "its card",
        "options": {"architecture": "vit_base_patch16_224", "arguments": arguments},
    }
    (folder / "models" / f"{TAGGER}.yaml").write_text(yaml.safe_dump({"type": TYPE, "attributes": said}))
    monkeypatch.setenv("AROT_PROJECT", str(folder))
    monkeypatch.setenv("AROT_MODELS", str(tmp_path / "models"))
    return folder


def hashed(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def resources_at(store: Path, precision: Any = "float32") -> Resources:
    tables = Tables(Storage(), str(store))
    models = Models(device=DEVICE if DEVICE == "cpu" else "auto", precision=precision)
    return Resources(tables.storage, tables, Warehouse(tables), models)


def killed_once(folder: Path, work: Callable[[Unit], Any], unit: Unit) -> Any:
    """The work; the process that has begun with shard 00002 is killed once it has its model, and each leaves its name."""
    result = work(unit)
    (folder / f"{os.getpid()} {unit.shard}").touch()
    if unit.shard == "00002" and not (folder / "killed").exists():
        (folder / "killed").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def build(compute: Compute, dataset: Dataset, *metrics: str, around: Any = None) -> dict[str, MetricResult]:
    """The tables of all shards by an engine; gives what each shard's model did."""
    r = dataset.resources
    work: Any = partial(
        build_metric_unit, r.storage, r.warehouse, r.models, dataset.declaration, None, Shards(r.warehouse, "d")
    )
    found: dict[str, MetricResult] = {}
    work_on(
        compute,
        r.tables,
        dataset.shards(),
        lambda shard: Unit.of("d", shard, metrics, "test"),
        around(work) if around else work,
        lambda unit, results: found.update({unit.shard: results[metrics[-1]]}),
        MODEL,
    )
    assert [*sorted(found)] == dataset.shards()
    return found


def tables_of(resources: Resources, *metrics: str) -> dict[str, pa.Table]:
    """Every table of some metrics, with its footer, without the moments of work."""
    return {
        f"{name}/{shard}": resources.tables.read(TableRef("d", name, shard)).drop_columns(["computed_at"])
        for name in metrics
        for shard in resources.tables.shards("d", name)
    }


def taken() -> float:
    """GB of the GPU's memory that any process has."""
    if DEVICE == "cpu":
        return 0.0
    told = subprocess.run(
        ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(told.stdout.split()[0]) / 1000


def place(unit: int) -> tuple[int, float, str, str]:
    """The process, its share of a GPU, which it sees, and what that is."""
    import ray
    import torch

    time.sleep(1)
    given = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
    kind = torch.cuda.get_device_name() if torch.cuda.is_available() else "pretended"
    return os.getpid(), given, os.environ.get("CUDA_VISIBLE_DEVICES", ""), kind


def test_two_units_share_the_gpu_that_ray_finds_and_another_kind_is_refused(halves: Compute, address: str) -> None:
    there = dict(halves.map(place, range(6), MODEL))
    kinds = {one[1:] for one in there.values()}
    assert len({process for process, *_ in there.values()}) == 2 and len(kinds) == 1
    ((given, seen, name),) = kinds
    assert (given, seen) == (0.5, "0")
    import ray

    (node,) = ray.nodes()
    (kind,) = (one.partition(":")[2] for one in node["Resources"] if one.startswith("accelerator_type:"))
    print(f"\nRay found {kind} and {node['Resources']['GPU']:g} GPU; torch says {name}")
    assert DEVICE == "cpu" or kind in name
    own = dict(compute_of("ray", address, kind).map(place, range(2), MODEL))
    assert {one[1] for one in own.values()} == {0.5}
    with pytest.raises(ComputeError, match=f"has a GPU of the kind 'A100': the cluster has {kind}") as error:
        list(compute_of("ray", address, "A100").map(place, [1], MODEL))
    print(error.value)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tables_of_halves_of_a_gpu_are_those_of_one_process_though_a_worker_is_killed(
    halves: Compute, source: Path, project: Path, tmp_path: Path, precision: str
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    alone = Dataset(resources_at(tmp_path / "alone", precision), source, shard_size=2)
    alone.run()
    shutil.copytree(tmp_path / "alone", tmp_path / "together")
    together = Dataset(resources_at(tmp_path / "together", precision), source, shard_size=2)
    one = build(Local(), alone, "cv2", TAGGER)
    before = taken()
    other = build(halves, together, "cv2", TAGGER, around=lambda work: partial(killed_once, marks, work))
    assert (marks / "killed").exists(), "a worker was killed that had the model on the GPU"
    processes = {file.name.split()[0] for file in marks.iterdir()} - {"killed"}
    assert 2 <= len(processes) <= 3, "two at once, and one for the killed one"
    first, second = (tables_of(d.resources, "cv2", TAGGER) for d in (alone, together))
    assert first.keys() == second.keys() and len(first) == 2 * len(alone.shards())
    differing = [name for name in first if not first[name].equals(second[name], check_metadata=True)]
    assert not differing, differing
    said = [result.model for result in other.values() if result.model]
    print(f"\n{precision}: {said[-1]}\n{one[alone.shards()[-1]].model}")
    assert {(told["engine"], told["precision"]) for told in said} == {("torch", precision)}
    if DEVICE == "cuda":
        assert all(told["device"].startswith("cuda") and told[DEVICE_MEMORY] > 0 for told in said)
        for _ in range(100):  # the driver takes its time
            if taken() <= before + 0.1:
                break
            time.sleep(0.1)
        assert taken() <= before + 0.1, "the GPU's memory is given back"
    assert together.resources.tables.list("leases") == []


def held_to(share: str, work: Callable[[Unit], Any], unit: Unit) -> Any:
    """The work in a process that has so much of the GPU."""
    os.environ["AROT_GPU_SHARE"] = share
    return work(unit)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU that fills")
def test_unit_whose_share_is_too_small_halves_its_batch_or_says_what_to_do(
    halves: Compute, source: Path, project: Path, tmp_path: Path
) -> None:
    import torch

    r = resources_at(tmp_path / "store")
    dataset = Dataset(replace(r, made_models=replace(r.models, batch_size=256)), source, shard_size=40)
    dataset.run()
    megabytes = torch.cuda.get_device_properties(0).total_memory / 1e6
    found = build(halves, dataset, TAGGER, around=lambda work: partial(held_to, f"{400 / megabytes}", work))
    (said,) = (one.model for one in found.values())
    print(f"\n{said}")
    assert said and 1 <= said["batch size"] < 256, "the batch was halved until it fitted"
    assert dataset.sql(f"select status, count(*) from d.{TAGGER} group by 1") == [("ok", len(PHOTOS))]
    shutil.rmtree(Path(dataset.resources.tables.root, TableRef("d", TAGGER).folder))
    found = build(halves, dataset, TAGGER, around=lambda work: partial(held_to, f"{20 / megabytes}", work))
    ((_, result),) = found.items()
    assert result.error and "of the GPU: $AROT_UNIT_GPUS)" in result.error


@pytest.mark.parametrize("fields", [IMAGES, HEAD], ids=["images", "head"])
def test_training_on_a_node_uses_its_gpu(
    halves: Compute, source: Path, project: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    fields = {**fields, "inputs": fields["inputs"] if fields["inputs"] == "pixels" else [TAGGER]}
    alone = Dataset(resources_at(tmp_path / "alone"), source)
    alone.run("phash", *fields["inputs"] if fields["inputs"] != "pixels" else [])
    shutil.copytree(tmp_path / "alone", tmp_path / "together")
    node = Watched(halves, [], partial(dies_once, tmp_path / "killed"))
    one = trained(alone.resources, **fields)
    together = replace(resources_at(tmp_path / "together"), compute=node)
    other = trained(together, **fields)
    assert len(node.units) == 1 and (tmp_path / "killed").exists()
    mine, theirs = (files_of(r, p.digest) for r, p in ((alone.resources, one.pointer), (together, other.pointer)))
    same = one.pointer == other.pointer and mine == theirs
    chosen = other.about["chosen"]
    print(f"\nequal to this process's bit for bit: {same}; {chosen}")
    assert mine.keys() == theirs.keys()
    if fields["inputs"] == "pixels" and DEVICE == "cuda":
        assert chosen["device"].startswith("cuda")


def test_local_model_on_a_node_answers_as_here(halves: Compute, source: Path, project: Path, tmp_path: Path) -> None:
    (tmp_path / "vlm").mkdir()
    qwen2_vl(tmp_path / "vlm")
    prompt = tmp_path / "short.jinja"
    prompt.write_text("Describe the image.")
    alone = Dataset(resources_at(tmp_path / "alone"), source, shard_size=10)
    alone.run()
    shutil.copytree(tmp_path / "alone", tmp_path / "together")
    assert captioned(alone.resources, tmp_path / "vlm", prompt).rows == len(PHOTOS)
    node = Watched(halves)
    together = replace(resources_at(tmp_path / "together"), compute=node)
    start, before = time.monotonic(), len(node.units)
    assert captioned(together, tmp_path / "vlm", prompt).rows == len(PHOTOS)
    print(f"\n{len(PHOTOS)} answers by {len(node.units) - before} units in {time.monotonic() - start:.1f} s")
    texts = [
        [
            (row["sample_id"], row["text"])
            for shard in r.tables.shards("d", "caption")
            for row in r.tables.read(TableRef("d", "caption", shard)).to_pylist()
        ]
        for r in (alone.resources, together)
    ]
    assert len(texts[0]) == len(PHOTOS) and texts[0] == texts[1]


def test_run_on_ray_tells_device_precision_and_utilization(
    address: str, source: Path, project: Path, tmp_path: Path
) -> None:
    pytest.importorskip("dagster")
    from arot_assets.project import init_project

    init_project(project)
    fields = {"name": "photos", "source": str(source), "shard_size": 10, "settle_seconds": 0.0, "metrics": [TAGGER]}
    place = project / "defs" / "datasets" / "photos" / "defs.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump({"type": "arot_assets.components.ImageDataset", "attributes": fields}))
    told = tmp_path / "prometheus"
    told.mkdir()
    environment = {
        **os.environ,
        "AROT_COMPUTE": "ray",
        "RAY_ADDRESS": address,
        "AROT_METRICS_FOLDER": str(told),
        "AROT_UNIT_GPUS": "0.5",
        "AROT_UNIT_CORES": "2",
        "AROT_STORE": str(tmp_path / "store"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "arot_assets.cli", "run", "photos"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    series = next(told.glob("arot-photos-metrics-*.prom")).read_text()
    shown = [line for line in series.splitlines() if not line.startswith("#")]
    code = (
        "import dagster as dg, json; i = dg.DagsterInstance.get(); "
        f"e = i.fetch_materializations(dg.AssetKey(['photos', '{TAGGER}']), limit=9).records; "
        "print(json.dumps([{k: str(v.value) for k, v in one.asset_materialization.metadata.items()} for one in e]))"
    )
    read = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=project, capture_output=True, text=True, check=False
    )
    metadata = json.loads(read.stdout.strip().splitlines()[-1]) if read.returncode == 0 else read.stderr[-2000:]
    print("\n".join(shown), metadata, sep="\n")
    assert isinstance(metadata, list) and len(metadata) == 4
    assert all("torch" in one["model run"] for one in metadata)
    if DEVICE == "cuda":
        assert all("| cuda" in one["model run"] for one in metadata)
        assert any(line.startswith("arot_gpu_memory_bytes") for line in shown)
