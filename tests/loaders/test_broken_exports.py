"""What trainers' own loaders do with an export of each layout in which one thing is broken, and that the check names it.

``AROT_TRAINERS`` as beside.
"""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arot_assets.exports.verify import verify
from tests.conftest import Dataset
from tests.exports.training import Training, place
from tests.loaders.loading import ROOT, load

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="AROT_TRAINERS has no checkouts")


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos."""
    dataset.run()
    return Training(dataset, tmp_path / "project")


def without_caption_file(folder: Path) -> None:
    sorted((folder / "images").glob("*.txt"))[0].unlink()


def without_caption_in_lines(path: Path, key: str) -> None:
    first, *rest = map(json.loads, path.read_text().splitlines())
    path.write_text("".join(json.dumps(row) + "\n" for row in ({k: v for k, v in first.items() if k != key}, *rest)))


def without_caption_in_parquet(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "images.parquet")
    captions = [None, *table["caption"].to_pylist()[1:]]
    pq.write_table(table.set_column(1, "caption", pa.array(captions, pa.string())), folder / "images.parquet")


def without_caption_in_json(folder: Path) -> None:
    path = folder / "images" / "captions.json"
    captions = json.loads(path.read_text())
    del captions[sorted(captions)[0]]
    path.write_text(json.dumps(captions))


def without_caption_in_tar(folder: Path) -> None:
    (path,) = (folder / "images").glob("*.tar")
    with tarfile.open(path) as tar:
        members = [(m, tar.extractfile(m)) for m in tar.getmembers()]
        files = [(m, f.read()) for m, f in members if f is not None]
    gone = next(m.name for m, _ in files if m.name.endswith(".txt"))
    import io

    with tarfile.open(path, "w") as tar:
        for member, data in files:
            if member.name != gone:
                tar.addfile(member, io.BytesIO(data))


STOPS = -1
CASES: dict[str, tuple[str, str, Callable[[Path], None], str, list[Any], int]] = {
    # layout and trainer, what is taken away, the configuration and further arguments, samples that the loader finds
    "pairs, musubi": ("pairs", "musubi", without_caption_file, "musubi-tuner", ["fp"], 11),
    "pairs, diffusion-pipe": ("pairs", "diffusion-pipe", without_caption_file, "diffusion-pipe", ["CACHE"], 11),
    "pairs, ai-toolkit": ("pairs", "ai-toolkit", without_caption_file, "ai-toolkit", [32], 12),
    "pairs, onetrainer": ("pairs", "onetrainer", without_caption_file, "onetrainer", [512, 1], 12),
    "pairs, simpletuner": ("pairs", "simpletuner", without_caption_file, "simpletuner", ["CACHE", 64], STOPS),
    "pairs, finetrainers": ("pairs", "finetrainers", without_caption_file, "finetrainers", [], 11),
    "kohya_jsonl": ("kohya_jsonl", "sd-scripts", lambda f: without_caption_in_lines(f / "images.jsonl", "caption"), "sd-scripts", [], 12),
    "musubi_jsonl": ("musubi_jsonl", "musubi", lambda f: without_caption_in_lines(f / "images.jsonl", "caption"), "musubi-tuner", ["fp"], STOPS),
    "simpletuner_parquet": ("simpletuner_parquet", "simpletuner", without_caption_in_parquet, "simpletuner", ["CACHE", 64], 12),
    "diffusion_pipe_json": ("diffusion_pipe_json", "diffusion-pipe", without_caption_in_json, "diffusion-pipe", ["CACHE"], 11),
    "hf, diffusers": ("hf", "diffusers", lambda f: without_caption_in_lines(f / "metadata.jsonl", "text"), "diffusers", ["CACHE"], 12),
    "webdataset, finetrainers": ("webdataset", "finetrainers", without_caption_in_tar, "finetrainers", [], STOPS),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_caption_that_is_gone(training: Training, case: str, tmp_path: Path) -> None:
    layout, trainer, break_it, script, further, seen = CASES[case]
    done = training.export(layout=layout, trainers=[trainer], media="exact", resolution=512)
    break_it(place(done))
    declaration = training.declaration(layout=layout, trainers=[trainer], media="exact", resolution=512)
    found = verify(declaration, training.resources.tables, training.resources.storage)
    assert str(found) == "11 of 12" and {v.rule for v in found.violations} == {"caption_missing"}
    configs = place(done) / "configs"
    config = next((p for p in configs.iterdir() if p.name != "commands.md"), configs / "commands.md")
    arguments = [tmp_path / "cache" if one == "CACHE" else one for one in further]
    if seen == STOPS:
        with pytest.raises(AssertionError, match="Traceback"):
            load(script, config, *arguments)
    else:
        rows = load(script, config, *arguments)
        assert len(rows) == seen
        column = 0 if script == "diffusers" else 1
        captions = {caption for _, caption in training.rows().values()}
        wrong = [row[column] for row in rows if str(row[column]).replace("  ", " ") not in captions]
        assert len(wrong) == seen - 11, wrong  # trained with an empty caption, or with "nan"
