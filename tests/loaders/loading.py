"""What the tests of loaders share: starting a loader, and what the tables of an export predict.

Belongs here: this. Does not belong here: any trainer.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arot_assets.exports.build import Outcome
from arot_assets.exports.versions import BUCKETS, read_manifest, record
from resources.tables import Tables
from tests.exports.training import place

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("AROT_TRAINERS", "/nonexistent"))
Prediction = dict[str, dict[str, Any]]


def load(trainer: str, *arguments: object) -> list[list[Any]]:
    """What a trainer's loader finds."""
    checkout = ROOT / trainer
    if not checkout.is_dir():
        pytest.skip(f"AROT_TRAINERS has no checkout '{trainer}'")
    script = HERE / f"load_{trainer.replace('-', '_')}.py"
    command = [sys.executable, str(script), str(checkout), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    found: list[list[Any]] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def predicted(tables: Tables, done: Outcome, trainer: str) -> Prediction:
    """Path -> the row of the manifest, with the bucket that the tables of an export predict."""
    version = done.receipt.version
    buckets = tables.read(record("train", version, BUCKETS)).to_pylist()
    by_sample = {b["sample_id"]: b for b in buckets if b["trainer"] == trainer}
    rows = read_manifest(tables, "train", version).to_pylist()
    return {str(place(done) / r["path"]): {**r, **by_sample[r["sample_id"]]} for r in rows}


def by_caption(wanted: Prediction) -> Prediction:
    """For loaders that give no paths; here every caption is another."""
    return {v["caption"]: v for v in wanted.values()}
