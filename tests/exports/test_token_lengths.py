"""How long captions are for text encoders is shown before and after an export."""

from pathlib import Path

import pytest

from arot_assets.exports.pages import caption_page
from arot_assets.exports.token_lengths import LOOKED_AT, length_lines
from tests.conftest import Dataset
from tests.exports.training import SUBSET, Training


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos."""
    dataset.run()
    return Training(dataset, tmp_path / "project")


def test_captions_that_an_encoder_does_not_read_to_their_end_are_counted() -> None:
    clip, t5, qwen = length_lines(["a cat, " * 40, "a dog", "a cat, " * 150])
    assert clip == "CLIP: of 3 captions the longest has 450 tokens; 2 over the 75 of SD 1.5, SDXL"
    assert "1 over the 255 of SD 3, LTX-Video, 1 over the 511 of FLUX.1" in t5
    assert "0 over the 504 of Z-Image" in qwen


def test_of_many_captions_some_are_counted() -> None:
    (clip, *_) = length_lines(["a cat"] * (LOOKED_AT * 3))
    assert "of 2,000 captions (one in 3)" in clip


def test_the_preview_shows_each_caption_with_its_lengths(training: Training) -> None:
    training.select(
        SUBSET.replace("coalesce(samples.caption, 'a photo of ' || samples.sample_id)", "'a <cat> & a dog'")
    )
    done = training.export()
    page = caption_page(training.resources.tables, training.resources.storage, training.declaration(), done.receipt)
    rows = [line for line in page.splitlines() if "data:image" in line]
    assert len(rows) == done.receipt.samples and all("a &lt;cat&gt; &amp; a dog" in row for row in rows)
    assert "CLIP tokens" in page and "T5 tokens" in page and "Qwen tokens" in page
    assert all([cell.strip() for cell in row.split("|")][3:6] == ["7", "11", "7"] for row in rows), rows[0][-200:]


def test_what_has_no_pictures_of_its_own_is_shown_by_name(training: Training) -> None:
    done = training.export(layout="webdataset")
    declaration = training.declaration(layout="webdataset")
    page = caption_page(training.resources.tables, training.resources.storage, declaration, done.receipt)
    assert all(f"{sample}.jpg" in page and caption in page for sample, (_, caption) in training.rows().items())
