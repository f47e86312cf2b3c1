"""An export reads and writes nothing outside of its place, and holds no secret."""

import json
from pathlib import Path

import pytest

from arot_assets.exports.contract import inspect
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layouts import LAYOUTS
from arot_assets.exports.tree import Tree
from tests.conftest import Dataset
from tests.exports.test_contract import jpeg, write
from tests.exports.training import Training, place, tree


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos."""
    dataset.run()
    return Training(dataset, tmp_path / "project")


@pytest.mark.parametrize("out", ["../secret.jpg", "images/../../secret.jpg", "absolute", "link"])
def test_an_index_that_points_outside_of_the_version_finds_nothing_there(tmp_path: Path, out: str) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg())
    folder = write(tmp_path / "v", "hf", {"a.jpg": jpeg()}, {"a.jpg": "fine"})
    (folder / "images" / "link.jpg").symlink_to(secret)
    row = json.loads((folder / "metadata.jsonl").read_text())
    row["file_name"] = {"absolute": str(secret), "link": "images/link.jpg"}.get(out, out)
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    ((entry, violations),) = inspect(Tree(folder), LAYOUTS["hf"], ["images"], "image")
    assert entry.read is None and "missing_file" in {v.rule for v in violations}


def test_everything_that_is_written_is_in_the_destination_and_the_store(training: Training, tmp_path: Path) -> None:
    target, store = tmp_path / "target", Path(training.resources.tables.root)
    before = {p for p in tmp_path.rglob("*") if store not in p.parents}
    done = training.export(destination=str(target), mask="sample_id", control=["sample_id", "sample_id"])
    after = {p for p in tmp_path.rglob("*") if store not in p.parents}
    assert {p for p in after - before if p != target and target not in p.parents} == set()
    assert place(done).parent == target / "train" and not [p for p in place(done).rglob("*") if p.is_symlink()]


@pytest.mark.parametrize("destination", ["s3://KEY:SECRET@bucket/sets", "s3://bucket/sets?X-Amz-Signature=SECRET", "hf://user:SECRET@datasets/a/b"])  # fmt: skip
def test_a_destination_with_a_secret_is_refused(destination: str) -> None:
    with pytest.raises(ValueError, match="password or signature"):
        ExportDeclaration.model_validate({"name": "e", "subset": "s", "destination": destination})


def test_no_file_holds_what_the_environment_keeps_secret(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, f"kept-secret-{name.lower()}")
    done = training.export()
    records = tree(Path(training.resources.tables.root) / "exports") | tree(place(done))
    assert len(records) > 40 and not [name for name, data in records.items() if b"kept-secret" in data]
