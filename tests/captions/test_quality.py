"""The quality of texts: what captioners do wrong is seen in the text alone."""

import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.captions.contradictions import contradictions
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.quality import COLUMNS, quality_metric, text_quality
from arot_assets.metrics.rows import build_rows
from arot_assets.metrics.table_builder import outside
from resources.models import Models
from resources.models.entry import ModelError
from resources.tables import TableRef
from tests.captions.conftest import Asked
from tests.servers.hub import Hub

GOOD = "A gray cat sleeps on a red sofa beside a window, late afternoon light on its fur."


def quality(text: str) -> dict[str, Any]:
    return {name: values[0] for name, values in text_quality([text]).items()}


def test_good_caption_has_no_fault() -> None:
    found = quality(GOOD)
    assert (found["words"], found["refusal"], found["framing"], found["open_end"]) == (17, False, False, False)
    assert found["repetition"] == 0 and found["hedges"] == 0 and not found["markdown"] and found["latin"] == 1
    assert found["characters"] == len(GOOD)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("refusal", "I'm sorry, but I can't assist with that."),
        ("refusal", "As an AI language model, I cannot describe people."),
        ("refusal", "I’m unable to identify the person in this picture."),
        ("framing", "The image shows a cat."),
        ("framing", "In this photo, a cat sleeps."),
        ("framing", "Here is a caption: a cat."),
        ("framing", "Overall, the mood is calm."),
        ("open_end", "A cat that sleeps on the"),
        ("markdown", "**Cat**\n- gray\n- asleep"),
    ],
)
def test_known_faults_are_found(column: str, text: str) -> None:
    assert quality(text)[column] is True
    assert quality(GOOD)[column] is False


def test_repetition_grows_with_what_is_said_again() -> None:
    stuck = "a cat on a sofa, " * 20
    assert quality(stuck)["repetition"] > 0.9 and quality(stuck)["compression"] > 4
    assert quality("Possibly a cat, perhaps asleep; it appears to dream.")["hedges"] == 3
    assert quality("猫が寝ている。")["latin"] == 0 and quality("12 34")["latin"] is None


@given(st.text(max_size=300))
def test_any_text_has_every_column_within_its_range(text: str) -> None:
    found = quality(text)
    for column in COLUMNS:
        value = found[column.name]
        assert value is not None or column.nullable or column.name in ("language", "contradictions")
        if value is not None and column.low is not None:
            assert column.low <= value <= (float("inf") if column.high is None else column.high)


@pytest.mark.parametrize("text", [GOOD, "12 34"])
def test_a_value_that_a_text_cannot_have_is_not_outside_its_range(text: str) -> None:
    server = {"url": "http://127.0.0.1:1/v1", "model": "none"}
    declaration = CaptionsDeclaration.model_validate(
        {"name": "short", "dataset": "d", "prompt": "short.jinja", "server": server}
    )
    columns = {c.name: pa.array([quality(text)[c.name]], c.type) for c in COLUMNS}
    table = pa.table({"status": ["ok"], **columns})
    metric = quality_metric(declaration)
    assert outside(metric, table) == {}
    empty = table.set_column(table.column_names.index("words"), "words", pa.array([None], pa.int32()))
    assert outside(metric, empty) == {"words": 1}


@pytest.mark.skipif(
    importlib.util.find_spec("py3langid") is None, reason="needs py3langid: pip install 'arot[language]'"
)
@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GOOD, "en"),
        ("Eine graue Katze schläft auf einem roten Sofa am Fenster.", "de"),
        ("Un chat gris dort sur un canapé rouge près de la fenêtre.", "fr"),
        ("猫が寝ている。", "ja"),
        ("12 34", None),
    ],
)
def test_language_of_a_text_is_told(text: str, language: str | None) -> None:
    found = quality(text)
    assert found["language"] == language
    assert (found["language_probability"] or 0) > 0.7 or language is None


@pytest.mark.parametrize(
    ("text", "tags", "found"),
    [
        ("A man stands in a field.", ["1girl", "solo"], ["1girl, no boy: “man”"]),
        ("Two women talk.", ["1girl", "solo"], ["solo: “Two women”"]),
        ("A girl and a boy.", ["1girl", "1boy"], []),
        ("A girl; no man is in sight.", ["1girl"], []),
        ("A woman waves.", ["1boy", "solo"], ["1boy, no girl: “woman”"]),
        ("A person walks by.", ["no_humans", "scenery"], ["no humans: “person”"]),
        ("A girl with long black hair.", ["1girl", "blonde_hair"], ["blonde hair: “black hair”"]),
        ("A blonde-haired girl with blue eyes.", ["1girl", "brown_hair", "blue_eyes"], ["brown hair: “blonde-haired”"]),
        ("A silver-haired girl with a blue hair ribbon.", ["1girl", "grey_hair"], []),
        ("Auburn hair and dark eyes.", ["1girl", "red_hair", "brown_eyes"], []),
        ("Blue hair and pink hair.", ["1girl", "multicolored_hair", "blue_hair"], []),
        ("A garden outdoors, at night.", ["indoors", "day"], ["indoors: “outdoors”", "day: “at night”"]),
        ("A cat on a mat.", ["cat"], []),
    ],
)
def test_what_the_tags_exclude_is_found_with_both_words(text: str, tags: list[str], found: list[str]) -> None:
    assert contradictions(text, tags) == found


def test_text_without_tags_contradicts_nothing_that_is_known() -> None:
    assert text_quality(["A man."], [[]])["contradictions"] == [None]
    assert text_quality(["A man."], [["1boy"]])["contradictions"] == [[]]


def tokenizer_json() -> bytes:
    """A small tokenizer in the layout of T5's: sentence pieces by unigrams, and a mark at the end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁A", -1.0), ("▁photo", -1.0)]
    letters = [(chr(c), -5.0) for c in range(33, 127)]
    tokenizer = Tokenizer(models.Unigram([*pieces, *letters], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_truncation(4)  # published files cut texts, and a cut text has no length
    return bytes(tokenizer.to_str(), "utf-8")


def test_tokens_of_a_declared_tokenizer_of_the_hub_are_a_column(
    asked: Asked, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_MODELS", str(tmp_path / "models"))
    commit = hub.commit(hub.create("test/t5", "model"), {"tokenizer.json": tokenizer_json()}).id
    uri = f"hf://models/test/t5@{commit}/tokenizer.json"
    asked.run()
    r = asked.dataset.resources

    def build(**fields: Any) -> None:
        metric = quality_metric(asked.declaration(**fields))
        for shard in asked.dataset.shards():
            build_rows(r.warehouse, Models(), "d", shard, [metric])

    with hub.as_default(tmp_path / "home"):
        build(tokenizers={"t5": uri})
    rows = r.tables.read(TableRef("d", "caption_quality", asked.dataset.shards()[0])).to_pylist()
    texts = {row["sample_id"]: row["text"] for row in asked.rows()}
    words = "A photo with the digest"
    assert rows and all(texts[row["sample_id"]].startswith(words) for row in rows)
    expected = {s: 3 + sum(len(w) + 1 for w in text.split()[2:]) for s, text in texts.items()}
    assert all(row["t5_tokens"] == expected[row["sample_id"]] for row in rows), "pieces, and the mark at the end"
    file = next((tmp_path / "models").rglob("tokenizer.json"))
    file.unlink()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    asked.prompt.write_text("Another prompt.")
    asked.run()
    with pytest.raises(ModelError, match=r"tokenizer: .*take it out of `tokenizers`"):
        build(tokenizers={"t5": uri})


@pytest.mark.parametrize("uri", ["hf://models/test/t5@main/tokenizer.json", "hf://models/test/t5/tokenizer.json", "t5"])
def test_tokenizer_is_named_at_a_commit(asked: Asked, uri: str) -> None:
    with pytest.raises(ValueError, match="tokenizers"):
        asked.declaration(tokenizers={"t5": uri})


def test_text_without_letters_is_no_value_outside_its_range(asked: Asked) -> None:
    """A column with a range says whether it may be null."""
    asked.server.words = lambda request, kind: "12 34"  # type: ignore[method-assign]
    asked.run()
    r, metric = asked.dataset.resources, quality_metric(asked.declaration())
    for shard in asked.dataset.shards():
        build_rows(r.warehouse, Models(), "d", shard, [metric])
        assert r.tables.footer(TableRef("d", "caption_quality", shard))["outside"] == "{}"
    ranges = {c.name for c in metric.columns if not c.nullable and (c.low is not None or c.high is not None)}
    assert not ranges & {name for name, (value,) in text_quality(["12 34"]).items() if value is None}
