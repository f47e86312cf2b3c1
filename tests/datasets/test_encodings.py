"""Encodings of caption files: the text, or the word that it is not sure; never another text in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.datasets.encodings import read_text
from arot_assets.datasets.sidecars import parse_sidecars

TEXTS = {
    "gbk": ["黄昏的灯塔", "一个女孩站在海边，看着夕阳", "一位穿着红色连衣裙的年轻女子站在城市街道上，夜晚下着雨"],
    "big5": ["黃昏的燈塔", "一個女孩站在海邊，看著夕陽"],
    "euc_kr": [
        "해질녘의 등대",
        "소녀가 해변에 서서 석양을 바라본다",
        "빨간 드레스를 입은 젊은 여성이 도시 거리에 서 있다.",
    ],
    "cp932": [
        "夕暮れの灯台",
        "少女が海辺に立って夕日を見ている",
        "ネコ",
        "1girl, long_hair, 初音ミク",
        "1girl, long_hair, 東京",
    ],
    "euc_jp": ["夕暮れの灯台", "赤いドレスを着た若い女性が街の通りに立っている。"],
    "cp1251": ["маяк на закате", "Девушка стоит на берегу моря и смотрит на закат"],
    "koi8_r": ["маяк на закате", "Девушка стоит на берегу моря и смотрит на закат"],
    "cp1252": ["café", "à la plage, une fille très élégante", "Größe der Straße", "“quoted”", "Una niña en la playa"],
    "cp1250": ["kočka na střeše", "Żółta łódź na brzegu", "Stary drewniany dom nad rzeką, jesień, żółte liście"],
    "cp1253": ["φάρος στο ηλιοβασίλεμα"],
    "cp1254": ["güneşli bir günde deniz kıyısında küçük kız", "ağaç"],
}
CASES = [(encoding, text) for encoding, texts in TEXTS.items() for text in texts]


@pytest.mark.parametrize(("encoding", "text"), CASES)
def test_text_of_a_code_page_is_right_or_said_to_be_unsure(encoding: str, text: str) -> None:
    found = parse_sidecars({"caption": text.encode(encoding)})
    assert (found.caption == text and not found.problems) or (
        found.caption is None and found.problems == ("bad_sidecar",)
    )
    assert found.caption or found.sidecar


def test_most_texts_are_told() -> None:
    assert sum(read_text(text.encode(encoding)) == (text, True) for encoding, text in CASES) >= 0.45 * len(CASES)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_utf8_stays_utf8(text: str) -> None:
    assert read_text(text.encode()) == (text.removeprefix("\ufeff"), True)


@given(st.text(st.sampled_from("灯台と夕焼けéüβж "), min_size=3, max_size=20), st.integers(1, 2))
def test_cut_letter_stays_utf8(text: str, lost: int) -> None:
    data = (text + "éé焼").encode()[:-lost]
    assert read_text(data) == (text + "éé", False)


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_jp_2", "iso2022_kr", "hz"])
def test_encodings_of_seven_bits_are_no_ascii(encoding: str) -> None:
    text = {"iso2022_kr": "1girl, 고양이", "hz": "1girl, 蓝色的眼睛"}.get(encoding, "1girl, 初音ミク")
    assert read_text(text.encode(encoding)) == (text, True)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp437", "Größe der Straße"),
        ("cp850", "Uma menina na praia, são três horas da manhã"),
        ("mac_roman", "Una niña en la playa"),
        ("mac_roman", "mañana"),
        ("mac_cyrillic", "Портрет девушки в красном платье на фоне старого города, вечер, мягкий свет"),
    ],
)
def test_code_pages_of_dos_and_macintosh_are_not_taken_for_those_of_windows(encoding: str, text: str) -> None:
    assert read_text(text.encode(encoding)) in ((text, True), (None, False))


def test_signs_between_letters_stay_those_of_english() -> None:
    for text in ("a boat—small and red—on the water", "the mother–daughter portrait", "Paris, “by night”"):
        assert read_text(text.encode("cp1252")) == (text, True)


def test_utf16_without_a_mark() -> None:
    assert read_text("a cat".encode("utf-16-le")) == ("a cat", True)
    assert read_text("a cat".encode("utf-16-be")) == ("a cat", True)


def test_bytes_that_cannot_be_read_are_kept() -> None:
    assert parse_sidecars({"txt": b"\x00\x01\x02"}).sidecar == '{".txt":{"base64":"AAEC"}}'
