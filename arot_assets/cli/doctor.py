"""`arot doctor`: what is installed, reachable and configured, and what to do about what is not."""

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from arot_assets.cli.finding import Finding
from resources.errors import ArotError

PACKAGES = (
    "dagster",
    "dagster-webserver",
    "duckdb",
    "duckdb-extension-httpfs",
    "pyarrow",
    "torch",
    "torchvision",
    "timm",
)
LITTLE_SPACE = 2e9


@click.command(name="doctor", short_help="what is installed, reachable and configured")
def command() -> None:
    """Check everything that arot needs, and say how to fix what is missing. The exit status is 1 if anything is."""
    problems = 0
    for finding in findings():
        mark, colour = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "problem": ("BAD ", "red")}[finding.level]
        click.echo(f"{click.style(mark, fg=colour)}  {finding.what:<24} {finding.text}")
        if finding.remedy:
            click.echo(f"      {'':<24} -> {finding.remedy}")
        problems += finding.level == "problem"
    if problems:
        raise click.ClickException(f"{problems} problem{'s' if problems > 1 else ''}")


def findings() -> Iterator[Finding]:
    """Every check, in the order in which things depend on each other."""
    yield _python()
    yield from _packages()
    yield _machine()
    yield from _store()
    yield _scratch()
    yield from _declared()
    yield from _endpoints()
    yield _compute()
    yield from _models()
    yield _webhook()
    yield from _damaged()


def _python() -> Finding:
    version = ".".join(str(n) for n in sys.version_info[:3])
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("problem", "python", version, "use Python 3.11 to 3.13")
    return Finding("ok", "python", f"{version}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding("ok", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("problem", name, "not installed", "run `make install`")


def _machine() -> Finding:
    from arot_assets.metrics.memory import MEMORY_VARIABLE, memory_limit
    from resources.machine import Machine
    from resources.parallel import THREADS_VARIABLE, default_threads

    threads = f"{default_threads()} decoding threads (${THREADS_VARIABLE} sets a different number)"
    there = f"{Machine().memory // 1_000_000:,} MB"
    memory = f"up to {memory_limit() // 1_000_000:,} MB of memory for a run, of {there} (${MEMORY_VARIABLE})"
    return Finding("ok", "machine", f"{threads}, {memory}")


def _store() -> Iterator[Finding]:
    from resources.defaults import default_resources
    from resources.storage.storage import is_local
    from resources.tables import STORE_VARIABLE

    root = default_resources().tables.root
    said = f"${STORE_VARIABLE}" if os.environ.get(STORE_VARIABLE) else "default"
    if not is_local(root):
        yield Finding("ok", "store", f"{root} ({said})")
        return
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"arot")
        free = shutil.disk_usage(root).free
    except OSError as error:
        yield Finding(
            "problem", "store", f"{root}: {error.strerror}", f"point {STORE_VARIABLE} to a folder that you may write to"
        )
        return
    level, remedy = ("note", "free some space") if free < LITTLE_SPACE else ("ok", "")
    yield Finding(level, "store", f"{root} ({said}), {free / 1e9:,.0f} GB free", remedy)


def _scratch() -> Finding:
    from resources import scratch

    try:
        at = scratch.prepare()
    except scratch.ScratchError as error:
        said, _, remedy = str(error).rpartition("; ")
        return Finding("problem", "temporary files", said, remedy)
    free = shutil.disk_usage(at).free
    said = f"${scratch.VARIABLE}" if os.environ.get(scratch.VARIABLE) else "default"
    level, remedy = ("note", f"free some space, or set {scratch.VARIABLE}") if free < LITTLE_SPACE else ("ok", "")
    return Finding(level, "temporary files", f"{at} ({said}), {free / 1e9:,.0f} GB free", remedy)


def _declared() -> Iterator[Finding]:
    from arot_assets.cli.home import HomeError, prepare_home
    from arot_assets.cli.launch import open_instance
    from arot_assets.declarations import load_declarations
    from arot_assets.metrics.registry import misnamed_files
    from arot_assets.own_assets import own_assets
    from arot_assets.project import defs_folder, sql_folder
    from arot_assets.subsets.load import load_project

    try:
        with open_instance():
            yield Finding("ok", "dagster home", str(prepare_home()))
    except HomeError as error:
        yield Finding("problem", "dagster home", str(error), "fix this; no run can be recorded until then")
    declared = load_declarations()
    declared.check_metrics()
    project = load_project(sql_folder())
    declared.check_subsets(project.subsets, project.broken)
    in_sql = project.problems()
    own = map(str, own_assets(defs_folder())[1].values())
    for line in dict.fromkeys([*declared.problems(), *own]):
        if line not in in_sql:
            yield Finding("problem", "declarations", line, "correct that line; everything else works without it")
    for line in in_sql:
        yield Finding("problem", "SQL models", line, "correct that line; everything else works without it")
    for file in misnamed_files():
        yield Finding("problem", "metrics", f"{file}: ignored", "name it after its metric: a to z, 0 to 9 and _")
    for name, dataset in declared.datasets.items():
        yield _source(name, dataset.source if dataset.on_hub else dataset.root)
    yield Finding("ok", "SQL models", ", ".join(project.models) or "none")


def _damaged() -> Iterator[Finding]:
    from arot_assets.subsets.leftovers import damaged_models
    from resources.defaults import default_resources
    from resources.tables import ModelRef
    from resources.tables.tables import REBUILD

    tables = default_resources().tables
    for place in tables.damaged():
        yield Finding(
            "problem", "stored tables", f"{tables.uri(place)} is not a Parquet file", REBUILD.format(tables.uri(place))
        )
    for name in damaged_models(tables):
        remedy = "`arot run` builds it again if it is a model; `arot rm` removes it"
        yield Finding("problem", "stored models", f"{tables.uri(ModelRef(name))} is not a Parquet file", remedy)


def _source(name: str, root: str) -> Finding:
    from resources.defaults import default_resources
    from resources.storage import StorageError
    from resources.storage.hub.address import is_hub, parse
    from resources.storage.hub.backend import HubBackend

    if root.startswith("s3://"):
        return Finding("ok", f"dataset {name}", f"{root}: see S3")
    storage = default_resources().storage
    try:
        if is_hub(root):
            commit = storage.using(HubBackend).client.pinned(parse(root)).revision
            return Finding("ok", f"dataset {name}", f"{root}, commit {commit}")
        there = storage.exists(root)
    except StorageError as error:
        return Finding("problem", f"dataset {name}", str(error), "fix this, or change `source`")
    if there and Path(root).is_dir() and not any(Path(root).iterdir()):
        return Finding("note", f"dataset {name}", f"{root} is an empty folder", "mount it, or change `source`")
    if there:
        return Finding("ok", f"dataset {name}", root)
    return Finding("problem", f"dataset {name}", f"{root} does not exist", "mount it, or change `source`")


def _endpoints() -> Iterator[Finding]:
    from arot_assets.cli.endpoints import endpoints
    from arot_assets.declarations import load_declarations
    from resources.defaults import default_resources

    resources = default_resources()
    roots = [dataset.root for dataset in load_declarations().datasets.values()]
    yield from endpoints(resources.storage.s3, resources.tables.root, roots)


def _compute() -> Finding:
    from arot_assets.datasets.nodes import meet
    from arot_assets.declarations import load_declarations
    from resources.compute import Needs, compute_of
    from resources.compute.engine import ADDRESS_VARIABLE, COMPUTE_VARIABLE
    from resources.defaults import default_resources

    address = os.environ.get(ADDRESS_VARIABLE)
    try:
        compute = compute_of()
        if compute.is_local:
            if address:
                said = f"this process, although ${ADDRESS_VARIABLE} is set ({address})"
                return Finding("note", "compute", said, f"set {COMPUTE_VARIABLE}=ray to use that cluster")
            return Finding("ok", "compute", f"this process ({COMPUTE_VARIABLE}=ray works on a Ray cluster)")
        if not address:
            return Finding("ok", "compute", f"{compute}, started when there is work")
        sources = {one for dataset in load_declarations().datasets.values() for one in dataset.seen_by_all}
        there = meet(compute, default_resources().tables, Needs(), sorted(sources))
    except ArotError as error:
        said, _, remedy = str(error).rpartition("; ")
        return Finding("problem", "compute", said, remedy)
    return Finding("ok", "compute", f"{compute}: {there}; each has this arot and sees the store and the sources")


def _models() -> Iterator[Finding]:
    from resources.models import ModelError, Models
    from resources.models.entries import all_entries
    from resources.models.torch_network import resolve_device

    try:
        yield Finding("ok", "device", resolve_device(Models().device))
    except (ModelError, ImportError) as error:
        yield Finding("problem", "device", str(error), "run `make install`")
    for broken in all_entries()[1]:
        yield Finding("problem", "model", str(broken), "correct that file; everything else works without it")
    absent = []
    for row in Models().describe():
        if row["available"]:
            yield Finding("ok", f"model {row['name']}", f"{row['bytes'] / 1e6:,.0f} MB, {row['licence']}")
        else:
            absent.append(row["name"])
    if absent:
        yield Finding(
            "note",
            "other models",
            f"weights not on this machine: {', '.join(absent)}",
            "before you use one, run `arot models fetch NAME`",
        )


def _webhook() -> Finding:
    from sensors.failure import WEBHOOK_VARIABLE

    if os.environ.get(WEBHOOK_VARIABLE):
        return Finding("ok", "webhook", f"${WEBHOOK_VARIABLE} is set: failed runs are posted")
    return Finding("note", "webhook", f"${WEBHOOK_VARIABLE} is not set: failed runs are only logged")
