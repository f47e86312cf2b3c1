"""Judging files by their bytes."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from arot_assets.media.image.formats.jpeg import MAX_SCANS, pixel_segments
from arot_assets.media.image.formats.tiff import MAX_TAGS
from arot_assets.media.image.probe import NOTES, ImageProbe, probe
from tests.datasets.fault_files import JPEGS, OTHERS, PNGS, ROWS, fault
from tests.tiers import draws

EXPECTED = {row["file"]: row["expected"] for row in ROWS} | {
    "mp4_named.jpg": "unsupported",  # a video is no image, whatever its name
    "sample.heic": "ok",  # its decoder is installed
}
PILLOW_READS = [name for name, expected in EXPECTED.items() if expected in ("ok", "warning") and name != "sample.heic"]
NOTED = {
    "png_named.jpg": ("extension_mismatch",),
    "animated.gif": ("animated",),
    "animated.webp": ("animated",),
    "one_pixel.png": ("tiny",),
    "extreme_aspect_1x4000.png": ("tiny", "extreme_aspect"),
    "bad_crc_idat.png": ("bad_checksum",),
    "trailing_garbage.jpg": ("trailing_data",),
    "multipage.tiff": ("multi_page",),
}


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", [row["file"] for row in ROWS])
def test_each_hostile_file_is_judged_as_documented(name: str) -> None:
    found = probe(fault(name), name)
    judged = "warning" if found.status == "ok" and found.notes else found.status
    assert judged == EXPECTED[name]
    assert (found.reason is None) == (found.status == "ok")
    if found.status == "ok":
        assert found.notes == NOTED.get(name, ())


@pytest.mark.parametrize("name", PILLOW_READS)
def test_header_agrees_with_pillow(name: str) -> None:
    data = fault(name)
    found = probe(data, name)
    with Image.open(BytesIO(data)) as image:
        assert (found.format, found.mode) == (image.format, image.mode)
        assert found.n_frames == getattr(image, "n_frames", 1)
        assert found.has_alpha == image.has_transparency_data
        turned = image.getexif().get(0x0112, 1) >= 5
        assert (found.width, found.height) == (image.size[::-1] if turned else image.size)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zero_byte.jpg", "0 bytes"),
        ("text_named.jpg", "text file"),
        ("html_error_page.jpg", "HTML page, probably a failed download"),
        ("truncated_half.jpg", "cut short"),
        ("truncated_tail.jpg", "EOI"),
        ("truncated.png", "cut short"),
        ("bad_crc_ihdr.png", "IHDR"),
        ("damaged_idat.png", "damaged"),
        ("bomb_60000x60000.png", "60000x60000"),
        ("vector.svg", "SVG"),
        ("sample.jxl", "JPEG XL"),
        ("mp4_named.jpg", "MP4 video"),
    ],
)
def test_reasons_name_the_cause(name: str, words: str) -> None:
    assert words in str(probe(fault(name), name).reason)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"<!-- proxy -->\n<!DOCTYPE html><html>", "corrupt", "HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "corrupt", "XML"),
        (b'{"error": "not found"}', "corrupt", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "corrupt", "Git LFS"),
        (bytes(5000), "corrupt", "zero bytes"),
        (b"\x01\x02\x03\x04", "corrupt", "no known image signature"),
        (b"%PDF-1.7", "unsupported", "PDF"),
        (b"\x1aE\xdf\xa3....", "unsupported", "WebM"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "unsupported", "AVI"),
        (b"\x1f\x8b\x08\x00", "unsupported", "gzip"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, status: str, words: str) -> None:
    found = probe(data, "a.jpg")
    assert found.status == status
    assert words in str(found.reason)


def test_limit_in_megapixels_is_the_callers() -> None:
    data = fault("progressive.jpg")  # 300 x 200
    assert probe(data, "a.jpg", max_megapixels=0.06).status == "ok"
    found = probe(data, "a.jpg", max_megapixels=0.059)
    assert (found.status, found.width, found.height) == ("unsupported", 300, 200)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_limit_holds_for_every_format(format: str) -> None:
    data = saved(Image.new("RGB", (200, 100)), format)
    assert probe(data, "a", max_megapixels=0.02).status == "ok"
    assert probe(data, "a", max_megapixels=0.019).status == "unsupported"


def test_extension_is_compared_without_case_and_only_when_it_claims_a_format() -> None:
    data = fault("progressive.jpg")
    for name in ("A.JPEG", "a.jfif", "a", "a.v2", "s3://b/x.y/noext", "https://h/a.php"):
        assert probe(data, name).notes == ()
    assert probe(data, "a.webp").notes == ("extension_mismatch",)


def test_every_note_is_documented() -> None:
    given = {note for row in ROWS for note in probe(fault(row["file"]), row["file"]).notes}
    assert given <= set(NOTES)
    assert len(given) >= 7


def test_icc_profile_is_named() -> None:
    assert probe(fault("icc_display_p3.jpg"), "a.jpg").icc_profile == "Display P3 compatible"
    assert probe(fault("icc_adobe_rgb.jpg"), "a.jpg").icc_profile == "Adobe RGB (1998) compatible"
    assert probe(fault("progressive.jpg"), "a.jpg").icc_profile is None


def test_generator_texts_are_read() -> None:
    tools = {
        n: probe(fault(n), n).generation
        for n in ("sd_parameters.png", "comfyui_workflow.png", "sd_parameters_exif.jpg")
    }
    assert [found and found["tool"] for found in tools.values()] == ["sd_webui", "comfyui", "sd_webui"]
    assert probe(fault("progressive.jpg"), "a.jpg").generation is None


def test_animated_png_counts_its_frames() -> None:
    frames = [Image.new("RGB", (32, 32), (i * 40, 0, 0)) for i in range(4)]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    found = probe(data, "a.png")
    assert (found.status, found.n_frames, found.notes) == ("ok", 4, ("animated",))


def test_damaged_chunk_name_in_png_is_seen() -> None:
    data = bytearray(fault("rgb16.png"))
    data[data.index(b"IDAT")] ^= 0x20  # becomes iDAT: a chunk that may be skipped, with pixels inside
    assert probe(bytes(data), "a.png").status == "corrupt"


def test_wrong_checksum_of_a_text_chunk_costs_only_the_text() -> None:
    data = bytearray(fault("sd_parameters.png"))
    data[data.index(b"Steps")] ^= 1
    found = probe(bytes(data), "a.png")
    assert (found.status, found.notes, found.generation) == ("ok", ("bad_checksum",), None)


def test_raw_files_of_cameras_are_not_taken_for_their_thumbnail() -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[50706] = b"\x01\x04\x00\x00"
    tags.tagtype[50706] = 1
    found = probe(saved(Image.new("RGB", (64, 48)), "TIFF", tiffinfo=tags), "a.dng")
    assert found.status == "unsupported"
    assert "camera raw" in str(found.reason)


def test_jpeg_with_thousands_of_scans_is_refused() -> None:
    data = fault("progressive.jpg")
    at = data.index(b"\xff\xda")
    scan = data[at : data.index(b"\xff", at + 14)]
    found = probe(data[:at] + scan * MAX_SCANS + data[at:], "a.jpg")
    assert found.status == "unsupported"
    assert "scans" in str(found.reason)


def test_tiff_with_overlapping_directories_is_refused_quickly() -> None:
    entries = 5000
    body = struct.pack("<H", entries) + bytes(12 * entries)
    chain = bytearray(b"II*\x00" + struct.pack("<I", 8) + body + bytes(12 * entries + 60_000))
    for at in range(8, 8 + 12 * 4000, 12):  # each directory begins inside the one before
        chain[at : at + 2] = struct.pack("<H", entries)
        chain[at + 2 + 12 * entries : at + 6 + 12 * entries] = struct.pack("<I", at + 12)
    found = probe(bytes(chain), "a.tif")
    assert found.status == "unsupported"
    assert f"{MAX_TAGS:,}" in str(found.reason)


def test_unpacked_metadata_is_bounded() -> None:
    data = fault("sd_parameters.png")
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    chunks = png_chunk(b"iCCP", b"x\x00\x00" + bomb) + png_chunk(b"zTXt", b"parameters\x00\x00" + bomb)
    found = probe(data[:33] + chunks + data[33:], "a.png")
    assert found.status == "ok"
    assert found.generation is not None  # the honest chunk after it
    assert found.icc_profile is None


def test_tiff_cut_anywhere_in_its_pixels_is_corrupt() -> None:
    data = fault("multipage.tiff")
    for end in range(1, 140_000, 1009):
        assert probe(data[:end], "a.tif").status == "corrupt"


def test_tiff_with_its_directory_first_must_hold_its_pixels() -> None:
    """As cameras and scanners write it: a cut takes pixels, not the directory."""
    tags = [(256, 40), (257, 30), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, 30), (279, 1200)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    data = head.ljust(200, b"\x00") + bytes(1200)
    assert probe(data, "a.tif").status == "ok"
    found = probe(data[:-1], "a.tif")
    assert found.status == "corrupt"
    assert "1,400 of 1,399" in str(found.reason)


def test_gif_frame_beyond_its_screen_counts() -> None:
    data = bytearray(saved(Image.new("P", (40, 30)), "GIF"))
    data[6:10] = struct.pack("<HH", 10, 10)
    found = probe(bytes(data), "a.gif")
    with Image.open(BytesIO(bytes(data))) as image:
        assert (found.width, found.height) == image.size == (40, 30)


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp", "sample.bmp", "sample.avif", "sample.heic"])
def test_other_formats_cut_anywhere_are_corrupt(name: str) -> None:
    data = fault(name)
    for end in range(0, len(data), 101):
        assert probe(data[:end], name).status == "corrupt"


@settings(max_examples=draws(150), deadline=None)
@given(name=st.sampled_from(JPEGS + PNGS), fraction=st.floats(0, 1, exclude_max=True))
def test_truncated_jpeg_or_png_is_never_ok(name: str, fraction: float) -> None:
    data = fault(name)
    assert probe(data[: int(len(data) * fraction)], name).status != "ok"


@pytest.mark.parametrize("name", JPEGS + PNGS)
def test_jpeg_or_png_without_its_last_bytes_is_never_ok(name: str) -> None:
    data = fault(name)
    for missing in range(1, 30):
        assert probe(data[:-missing], name).status == "corrupt"


@settings(max_examples=draws(300), deadline=None)
@given(
    name=st.sampled_from(JPEGS + PNGS + OTHERS),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8),
    near_start=st.booleans(),
)
def test_flipped_bits_give_a_probe(name: str, flips: list[tuple[float, int]], near_start: bool) -> None:
    data = bytearray(fault(name))
    reach = min(len(data), 500) if near_start else len(data)
    for where, bit in flips:
        data[int(reach * where)] ^= 1 << bit
    found = probe(bytes(data), name)
    assert isinstance(found, ImageProbe)
    assert (found.reason is None) == (found.status == "ok")


MAGICS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00+",
    b"RIFF\xff\x00\x00\x00WEBP",
    b"BM",
]


@settings(max_examples=draws(300), deadline=None)
@given(
    magic=st.sampled_from([*MAGICS, b"\x00\x00\x00\x18ftypavif", b"\x00\x00\x00\x18ftypheic"]),
    tail=st.binary(max_size=400),
)
def test_random_bytes_give_a_probe_that_is_not_ok(magic: bytes, tail: bytes) -> None:
    found = probe(magic + tail, "a.jpg")
    assert found.status in ("corrupt", "unsupported")
    assert found.reason


def test_avif_decoder_is_there() -> None:
    assert features.check("avif")


def test_only_the_pixels_of_a_jpeg_stay_wherever_its_metadata_is() -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8))
    clean, exif = BytesIO(), Image.Exif()
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}  # where it was taken
    picture.save(clean, "JPEG", progressive=True)
    plain = clean.getvalue()
    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    between = plain[:second_scan] + b"\xff\xfe\x00\x0ataken at" + plain[second_scan:]
    second = BytesIO()
    picture.save(second, "JPEG", exif=exif)
    for data in (plain + second.getvalue(), between, between + b"\0" * 9):  # phones keep a second picture after the end
        assert not probe(data, "a.jpg").pixels_only and pixel_segments(data) == plain
    assert probe(plain, "a.jpg").pixels_only and not probe(second.getvalue(), "a.jpg").pixels_only
    assert probe(pixel_segments(second.getvalue()), "a.jpg").pixels_only
