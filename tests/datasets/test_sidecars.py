"""Captions, tags and records beside an image."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.datasets.sidecars import EXTENSIONS, NOTES, Sidecar, parse_sidecars
from arot_assets.datasets.tag_lists import is_tag_list


def test_txt_is_a_caption() -> None:
    assert parse_sidecars({"txt": b"A cup of coffee,\r\non a wooden table.\n"}) == Sidecar(
        caption="A cup of coffee,\non a wooden table."
    )


def test_json_is_kept_whole_and_gives_tags_and_a_caption() -> None:
    record = {"title": "Cat", "tags": "cat, wall , ", "author": "Žofie", "n": 1.5}
    found = parse_sidecars({"json": json.dumps(record).encode()})
    assert (found.caption, found.tags, found.problems) == ("Cat", ("cat", "wall"), ())
    assert json.loads(str(found.sidecar)) == record
    assert "Žofie" in str(found.sidecar)


def test_text_beside_the_json_is_the_caption() -> None:
    record = json.dumps({"title": "t", "caption": "from json"}).encode()
    assert parse_sidecars({"json": record}).caption == "from json"
    assert parse_sidecars({"json": record, "txt": b"from txt"}).caption == "from txt"
    assert parse_sidecars({"json": record, "txt": b"from txt", "caption": b"from caption"}).caption == "from caption"
    assert parse_sidecars({"json": record, "txt": b"  \n"}).caption == "from json"


def test_tags_of_txt_and_json_are_joined_without_repeats() -> None:
    found = parse_sidecars(
        {"txt": b"1girl, long_hair, solo", "json": b'{"tags": ["solo", "smile"], "caption": "A girl."}'}
    )
    assert found.tags == ("1girl", "long_hair", "solo", "smile")
    assert found.caption == "A girl."


@pytest.mark.parametrize(
    "text",
    [
        "1girl, long_hair, looking_at_viewer",
        "1girl, solo, long hair, looking at viewer, :d",
        "2boys\nblue_sky\ncloud",
        "no humans, scenery, sunset",
        "long_hair",
        "hatsune_miku, vocaloid, twintails,",
        "6+girls, school uniform",
    ],
)
def test_booru_lists_are_tags(text: str) -> None:
    assert is_tag_list(text)
    assert parse_sidecars({"txt": text.encode()}).caption is None
    assert parse_sidecars({"txt": text.encode()}).tags


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bee2",
        "Old truck Indana model 111-X",
        "a cat, a dog",
        "Simple Evergreen, with highlights",
        "Fall Scene in a Circle",
        "1girl, long_hair, She stands in the rain.",
        "A photo of my_file.png lying on a desk, next to a cup of coffee and a plate",
        "SVG Road Signs",
    ],
)
def test_prose_is_a_caption(text: str) -> None:
    assert not is_tag_list(text)
    assert parse_sidecars({"txt": text.encode()}) == Sidecar(caption=text or None)


def test_escapes_of_prompts_are_undone_in_tags() -> None:
    assert parse_sidecars({"txt": rb"1girl, saber_\(fate\)"}).tags == ("1girl", "saber_(fate)")


@pytest.mark.parametrize(
    ("data", "caption"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("café".encode("utf-16"), "café"),
        ("café".encode("utf-16-be").join([b"\xfe\xff", b""]), "café"),
        (b"caf\xe9", "café"),
        ("“quoted”".encode("cp1252"), "“quoted”"),
        ("画像".encode(), "画像"),
    ],
)
def test_encodings(data: bytes, caption: str) -> None:
    assert parse_sidecars({"caption": data}) == Sidecar(caption=caption)


def test_json_with_a_byte_order_mark() -> None:
    assert parse_sidecars({"json": b'\xef\xbb\xbf{"caption": "x"}'}).caption == "x"


@pytest.mark.parametrize(
    "files",
    [
        {"json": b"{broken"},
        {"json": b"[" * 100_000},
        {"json": b'{"tags": 3}'},
        {"json": b'{"tags": ["a", 1]}'},
        {"json": b"1" * 5000},
        {"txt": b"\x00\x01\x02"},
        {"caption": b"\x81\x8d"},
        {"txt": b"a" * 5_000_000},
    ],
)
def test_what_cannot_be_read_is_a_note(files: dict[str, bytes]) -> None:
    assert parse_sidecars(files).problems == ("bad_sidecar",)


def test_a_bad_sidecar_does_not_cost_the_others() -> None:
    found = parse_sidecars({"json": b"{broken", "txt": b"A cat."})
    assert (found.caption, found.problems) == ("A cat.", ("bad_sidecar",))


def test_stored_json_is_valid_for_every_reader() -> None:
    found = parse_sidecars({"json": b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": "\\ud800x", "e": "a\\u0000b"}'})
    assert json.loads(str(found.sidecar)) == {"a": None, "b": None, "c": None, "d": "�x", "e": "a�b"}
    str(found.sidecar).encode("utf-8")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(EXTENSIONS), st.binary(max_size=200) | st.text(max_size=100).map(str.encode)))
def test_any_bytes_give_a_sidecar(files: dict[str, bytes]) -> None:
    found = parse_sidecars(files)
    assert set(found.problems) <= NOTES.keys()
    for text in (found.caption, found.sidecar, *found.tags):
        if text is not None:
            text.encode("utf-8")
            assert "\x00" not in text


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["tags", "caption", "title", "x"]), json_values))
def test_any_json_is_kept(record: dict[str, object]) -> None:
    found = parse_sidecars({"json": json.dumps(record).encode()})
    assert found.sidecar is not None
    json.loads(found.sidecar, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
