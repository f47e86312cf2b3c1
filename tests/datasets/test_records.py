"""Captions and tags that are not plain text, and texts beside an image that are not captions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.datasets.records import captions_of, record_tags, tags_of
from arot_assets.datasets.sidecars import Sidecar, lines_of_captions, parse_sidecars
from arot_assets.datasets.sources.listed import CAPTION_COLUMNS, add_listed, choose, to_metadata

SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512, Model: base"


@pytest.mark.parametrize(
    ("record", "tags"),
    [
        ({"tags": "1girl solo long_hair blue_eyes shu_(arknights)"}, "1girl solo long_hair blue_eyes shu_(arknights)"),
        ({"tags": " 1girl long_hair solo "}, "1girl long_hair solo"),
        ({"tags": "1girl,solo,long_hair"}, "1girl solo long_hair"),
        ({"tags": "long_hair"}, "long_hair"),
        ({"tags": "sea;sky;boat"}, "sea sky boat"),
        ({"tags": "1girl | solo | long_hair"}, "1girl solo long_hair"),
        ({"tags": "#sea #sky"}, "sea sky"),
        ({"tags": "1girl solo ;) long_hair"}, "1girl solo ;) long_hair"),
        ({"tags": {"general": ["solo"], "species": ["wolf"], "character": [], "artist": ["ann"]}}, "solo wolf ann"),
        ({"tags": {"1girl": 0.99, "solo": 0.97}}, "1girl solo"),
        ({"tags": {"1girl": True, "solo": False}}, "1girl"),
        ({"tags": {"name": ["1girl", "solo"], "score": [0.9, 0.8]}}, "1girl solo"),
        ({"tags": [{"name": "1girl"}, {"name": "solo", "score": 0.5}]}, "1girl solo"),
        ({"tags": [["1girl", 0.9], ["solo", 0.8]]}, "1girl solo"),
        ({"tags": "['1girl', 'solo']"}, "1girl solo"),
        ({"tags": '["1girl", "solo"]'}, "1girl solo"),
        ({"tag_string": "1girl shu", "tag_string_general": "1girl", "tag_string_artist": "ann"}, "1girl shu ann"),
        ({"tags_general": "1girl solo", "tags_count": 2}, "1girl solo"),
    ],
)
def test_tags_of_every_form(record: dict[str, Any], tags: str) -> None:
    assert record_tags(record) == (tags.split(), True)


@pytest.mark.parametrize(
    ("value", "captions"),
    [
        ("a cat", ["a cat"]),
        (5, ["5"]),
        (["one", "two", "one"], ["one", "two"]),
        ({"de": "eine Katze", "en": "a cat"}, ["a cat", "eine Katze"]),
        ([{"raw": "a cat", "tokens": ["a", "cat"]}], ["a cat", "a", "cat"]),
        ("['one', 'two']", ["one", "two"]),
        ([], []),
        (None, []),
    ],
)
def test_captions_of_every_form(value: Any, captions: list[str]) -> None:
    assert captions_of(value) == (captions, True)


@pytest.mark.parametrize("value", [True, {"a": 1}, [{"n": [True]}]])
def test_captions_that_cannot_be_read_are_noted_and_kept(value: Any) -> None:
    beside = parse_sidecars({"json": json.dumps({"caption": value}).encode()})
    listed = add_listed(Sidecar(), to_metadata(value, None, {}))
    for found in (beside, listed):
        assert (found.caption, found.problems) == (None, ("bad_sidecar",))
        assert json.loads(str(found.sidecar)) == {"caption": value}
    assert parse_sidecars({"json": json.dumps({"caption": value, "text": "a cat"}).encode()}).problems == ()


@pytest.mark.parametrize(
    ("record", "caption", "tags"),
    [
        ("a cat", "a cat", ""),
        (["1girl", "solo"], None, "1girl solo"),
        (["A cat sits there.", "A cat."], "A cat sits there.", ""),
        ({"post": {"tags": {"general": ["wolf"]}, "caption": "a wolf"}}, "a wolf", "wolf"),
        ([{"tag_string": "1girl solo", "id": 1}], None, "1girl solo"),
        ({"caption": {"en": "a cat"}}, "a cat", ""),
        ({"Tags": {"general": {"1girl": 0.9}}}, None, "1girl"),
    ],
)
def test_json_of_every_shape_is_read_and_kept_whole(record: Any, caption: str | None, tags: str) -> None:
    found = parse_sidecars({"json": json.dumps(record).encode()})
    assert (found.caption, found.tags) == (caption, tuple(tags.split()))
    assert json.loads(str(found.sidecar)) == record


@pytest.mark.parametrize("text", ["1girl; solo; long_hair", "1girl|solo|long_hair", "1girl solo long_hair"])
def test_tag_lists_have_other_marks_too(text: str) -> None:
    assert parse_sidecars({"txt": text.encode()}).tags == ("1girl", "solo", "long_hair")
    assert parse_sidecars({"txt": b"A cat; it sleeps | all day"}).caption == "A cat; it sleeps | all day"


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@given(values, values)
def test_nothing_that_a_list_says_is_lost(caption: Any, tags: Any) -> None:
    found = add_listed(Sidecar(), to_metadata(caption, tags, {}))
    (captions, read), (words, whole) = captions_of(caption), tags_of(tags)
    assert bool(captions) == bool(found.caption)
    assert len(found.tags) == len(words)
    assert (read and whole) or "bad_sidecar" in found.problems
    assert whole or "tags" in json.loads(str(found.sidecar))


@pytest.mark.parametrize(
    "text",
    [
        "1boy, solo, robert downey jr., suit",
        "1girl, solo, kafuu_chino, gochuumon_wa_usagi_desu_ka?, hat",
        "1girl, megumin, kono subarashii sekai ni shukufuku wo!, staff",
        "1girl, solo, yahari ore no seishun lovecome wa machigatteiru., scarf",
        "1girl, solo, boku_wa_tomodachi_ga_sukunai_next_to_a_very_long_copyright_name_that_danbooru_has",
        "1girl, solo, the_idolm@ster, k-on!, new game!, is the order a rabbit?",
        r"1girl, ?, !!, solo, ^_^, >_<, :d, ;), \(^o^)/",
    ],
)
def test_tags_that_end_like_sentences_are_tags(text: str) -> None:
    found = parse_sidecars({"txt": text.encode()})
    assert (found.caption, list(found.tags)) == (None, text.split(", "))


def test_of_the_text_of_a_web_ui_only_the_prompt_counts() -> None:
    booru = f"1girl, solo, long_hair\nNegative prompt: lowres, bad_anatomy\n{SETTINGS}"
    found = parse_sidecars({"txt": booru.encode()})
    assert (found.caption, found.tags) == (None, ("1girl", "solo", "long_hair"))
    assert json.loads(str(found.sidecar)) == {".txt": booru}
    found = parse_sidecars({"txt": f"a lighthouse\nNegative prompt: blurry\n{SETTINGS}".encode()})
    assert (found.caption, found.tags) == ("a lighthouse", ())


def test_text_that_another_goes_before_is_kept() -> None:
    found = parse_sidecars({"caption": b"first", "txt": b"second", "json": b'{"a": 1}'})
    assert (found.caption, json.loads(str(found.sidecar))) == ("first", {"a": 1, ".txt": "second"})
    found = add_listed(found, to_metadata("third", None, {"b": 2}))
    assert json.loads(str(found.sidecar))[".list"] == {"caption": "third", "b": 2}


@pytest.mark.parametrize(
    "text",
    [
        "a lighthouse\nein Leuchtturm\nun phare\nmaják",
        "a lighthouse\nмаяк",
        "A man rides a horse.\nA person on a brown horse.\nSomebody rides through a field.",
    ],
)
def test_captions_a_line_each_are_a_list_and_a_note(text: str) -> None:
    found = parse_sidecars({"txt": text.encode()})
    assert found.caption == text.split("\n")[0]
    assert found.problems == ("several_captions",)
    assert json.loads(str(found.sidecar)) == {".txt": text.split("\n")}


@pytest.mark.parametrize(
    "text",
    [
        "A cup of coffee,\non a wooden table.",
        "The image shows a cat.\n\nIn the background there is a house.\n\nIt rains.",
        "A cat on a mat.\nIt sleeps.\nThe background is blue.",
        "A long caption that an editor broke after about sixty letters so\nthat it goes on in the next line and then in one more line too\nuntil"
        " here.",
    ],
)
def test_text_of_several_lines_is_one_caption(text: str) -> None:
    assert lines_of_captions(text) == [text]


@pytest.mark.parametrize(
    ("columns", "caption"),
    [
        (["jpg", "json", "txt", "__key__"], "txt"),
        (["image.png", "caption.txt"], "caption.txt"),
        (["image", "TXT", "Caption"], "Caption"),
        (["image", "label"], None),
    ],
)
def test_fields_of_webdataset_that_became_columns_hold_captions(columns: list[str], caption: str | None) -> None:
    assert choose(columns, "", CAPTION_COLUMNS) == caption
