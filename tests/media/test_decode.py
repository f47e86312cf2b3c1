"""Pixels: upright, opaque, sRGB, whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from arot_assets.media.image.decode import DecodeError, decode, thumbnail
from arot_assets.media.image.probe import probe
from tests.datasets.fault_files import JPEGS, OTHERS, PNGS, ROWS, fault
from tests.tiers import draws

GOOD = [row["file"] for row in ROWS if probe(fault(row["file"]), row["file"]).status == "ok"]
BAD = [row["file"] for row in ROWS if row["file"] not in GOOD]


def plain_pillow(data: bytes) -> NDArray[np.uint8]:
    """The same rules, written with Pillow alone."""
    with Image.open(BytesIO(data)) as opened:
        opened.load()
        icc = opened.info.get("icc_profile")
        image = ImageOps.exif_transpose(opened)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode.startswith("I;16"):
        deep = np.asarray(image)
        if "transparency" in image.info:
            alpha = Image.fromarray(np.where(deep == image.info["transparency"], 0, 255).astype(np.uint8))
        image = Image.fromarray((deep >> 8).astype(np.uint8))
    base = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    if image.mode == "P" and alpha is not None:
        image = image.convert("RGBA")
    image = image.convert(base)
    if icc and not (base == "L" and b"RGB " in icc[:64]):
        source = ImageCms.ImageCmsProfile(BytesIO(icc))
        image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    image = image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    return np.asarray(image)


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def photo() -> Image.Image:
    """A real photo, 300 x 200 RGB."""
    return Image.open(BytesIO(fault("progressive.jpg"))).convert("RGB")


@pytest.mark.parametrize("name", [name for name in GOOD if not name.endswith(".heic")])
def test_pixels_equal_a_plain_pillow_pipeline(name: str) -> None:
    data = fault(name)
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert difference(pixels, plain_pillow(data)) <= 1


@pytest.mark.parametrize("name", BAD)
def test_what_the_probe_refuses_is_refused_by_the_decoder(name: str) -> None:
    with pytest.raises(DecodeError) as raised:
        decode(fault(name))
    assert raised.value.status == probe(fault(name), name).status
    assert raised.value.reason


@pytest.mark.parametrize("name", GOOD)
def test_size_is_that_of_the_probe(name: str) -> None:
    found = probe(fault(name), name)
    assert decode(fault(name)).shape == (found.height, found.width, 3)


def test_all_eight_orientations_show_the_same_upright_picture() -> None:
    upright = decode(fault("exif_orientation_1.jpg")).astype(float)
    assert upright.shape == (214, 320, 3)
    for orientation in range(2, 9):
        turned = decode(fault(f"exif_orientation_{orientation}.jpg")).astype(float)
        assert np.abs(turned - upright).mean() < 3  # each file was compressed on its own


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_in_every_format(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(photo().crop((0, 0, 96, 64)), format, exif=exif)
    pixels = decode(data)
    assert difference(pixels, plain_pillow(data)) <= 1
    found = probe(data, "a")
    assert (found.height, found.width) == pixels.shape[:2] == ((96, 64) if orientation >= 5 else (64, 96))


@pytest.mark.parametrize("name", ["icc_display_p3.jpg", "icc_adobe_rgb.jpg"])
def test_profiles_are_converted_to_srgb(name: str) -> None:
    reference = decode(fault("progressive.jpg")).astype(float)
    converted = np.abs(decode(fault(name)).astype(float) - reference).mean()
    ignored = np.abs(np.asarray(Image.open(BytesIO(fault(name)))).astype(float) - reference).mean()
    assert converted < 4.5  # what compressing it again has cost
    assert converted < ignored / 2


def test_colour_under_full_transparency_is_white() -> None:
    pixels = decode(fault("rgba_hidden_colour.png"))
    hidden = np.asarray(Image.open(BytesIO(fault("rgba_hidden_colour.png"))))
    assert (hidden[hidden[..., 3] == 0][:, 0] > 200).any()
    assert (pixels[hidden[..., 3] == 0] == 255).all()
    with Image.open(BytesIO(fault("palette_transparent.png"))) as palette:
        clear = np.asarray(palette) == palette.info["transparency"]
    assert (decode(fault("palette_transparent.png"))[clear] == 255).all()
    assert clear.any()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = np.asarray(Image.open(BytesIO(fault("gray16.png"))))
    assert (decode(fault("gray16.png"))[..., 0] == deep >> 8).all()
    same = decode(fault("sample.bmp")).astype(float)
    assert np.abs(decode(fault("rgb16.png")) - same).mean() < 6


def test_cmyk_is_no_negative() -> None:
    rgb = decode(fault("exif_orientation_1.jpg")).astype(float)
    assert np.abs(decode(fault("cmyk.jpg")).astype(float) - rgb).mean() < 6


def test_heic_shows_the_picture() -> None:
    reference = decode(fault("progressive.jpg")).astype(float)
    assert np.abs(decode(fault("sample.heic")).astype(float) - reference).mean() < 6


def variants() -> dict[str, bytes]:
    """Stored forms that the samples lack."""
    rgb = photo().crop((0, 0, 61, 47))
    gray, alpha = rgb.convert("L"), rgb.getchannel("G")
    rgba, palette = rgb.copy(), rgb.quantize(16)
    rgba.putalpha(alpha)
    la = gray.copy()
    la.putalpha(alpha)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    cmyk = rgb.convert("CMYK")
    p3 = Image.open(BytesIO(fault("icc_display_p3.jpg"))).info["icc_profile"]
    ycck = BytesIO()
    cmyk.save(ycck, "JPEG", quality=95)
    frames = [Image.new("RGB", (61, 47), (i * 60, 9, 9)) for i in range(3)]
    return {
        "png palette 4 bit": saved(palette, "PNG"),
        "png palette 1 bit": saved(rgb.quantize(2), "PNG"),
        "png one bit": saved(gray.convert("1"), "PNG"),
        "png gray key": saved(gray, "PNG", transparency=int(np.asarray(gray)[5, 5])),
        "png rgb key": saved(rgb, "PNG", transparency=rgb.getpixel((5, 5))),
        "png 16 bit key": saved(deep, "PNG", transparency=int(np.asarray(deep)[5, 5])),
        "png rgba with profile": saved(rgba, "PNG", icc_profile=p3),
        "png la with profile of another kind": saved(la, "PNG", icc_profile=p3),
        "png animated": saved(frames[1], "PNG", save_all=True, append_images=frames),
        "png gray": saved(gray, "PNG"),
        "webp lossless rgba": saved(rgba, "WEBP", lossless=True, exact=True),
        "webp lossy rgba": saved(rgba, "WEBP", quality=80),
        "webp lossy": saved(rgb, "WEBP", quality=80),
        "webp with profile": saved(rgb, "WEBP", quality=80, icc_profile=p3),
        "avif rgba": saved(rgba, "AVIF"),
        "gif transparent": saved(palette, "GIF", transparency=3),
        "bmp palette": saved(palette, "BMP"),
        "bmp rgba": saved(rgba, "BMP"),
        "bmp one bit": saved(gray.convert("1"), "BMP"),
        "tiff lzw": saved(rgb, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": saved(rgb, "TIFF", compression="jpeg"),
        "tiff cmyk": saved(cmyk, "TIFF"),
        "tiff 16 bit": saved(deep, "TIFF"),
        "tiff rgba": saved(rgba, "TIFF"),
        "tiff fax": saved(gray.convert("1"), "TIFF", compression="group4"),
        "jpeg cmyk": ycck.getvalue(),
        "jpeg 4:4:4": saved(rgb, "JPEG", subsampling=0),
        "jpeg rgb": saved(rgb, "JPEG", keep_rgb=True),
        "jpeg gray": saved(gray, "JPEG"),
    }


@pytest.mark.parametrize("kind", sorted(variants()))
def test_stored_forms_equal_a_plain_pillow_pipeline(kind: str) -> None:
    data = variants()[kind]
    found = probe(data, "a")
    assert found.status == "ok"
    with Image.open(BytesIO(data)) as image:
        assert (found.mode, found.has_alpha) == (image.mode, image.has_transparency_data)
    assert difference(decode(data), plain_pillow(data)) <= 1


def test_interlaced_png_equals_the_plain_one() -> None:
    """Written by hand: Pillow doesn't write Adam7."""
    import struct
    import zlib

    pixels = np.asarray(photo().crop((0, 0, 21, 19)))
    raw = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        raw += b"".join(b"\x00" + row.tobytes() for row in np.ascontiguousarray(pixels[y::dy, x::dx]))

    def chunk(kind: bytes, payload: bytes, wrong: int = 0) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload) ^ wrong)

    for wrong in (0, 1):
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 21, 19, 8, 2, 0, 0, 1))
        data += chunk(b"IDAT", zlib.compress(raw), wrong) + chunk(b"IEND", b"")
        assert probe(data, "a.png").notes == (("bad_checksum",) if wrong else ())
        assert (decode(data) == pixels).all()


def test_float_pixels_are_unsupported() -> None:
    with pytest.raises(DecodeError, match="floating-point") as raised:
        decode(saved(Image.new("F", (20, 20)), "TIFF"))
    assert raised.value.status == "unsupported"


def test_jpeg_that_decoders_only_warn_of_is_decoded_strictly_all_the_same() -> None:
    good = fault("gray.jpg")
    assert good.endswith(b"\xff\xd9")
    padded = good[:-2] + bytes(7) + good[-2:]
    newer = good.replace(b"JFIF\x00\x01", b"JFIF\x00\x05", 1)
    at = good.index(b"\xff\xda") + 2 + int.from_bytes(good[good.index(b"\xff\xda") + 2 :][:2], "big")
    odd_scan = good[: at - 3] + b"\x00\x00\x00" + good[at:]
    for data in (padded, newer, odd_scan):
        assert data != good
        assert (decode(data) == decode(good)).all()
        with pytest.raises(DecodeError):
            decode(data[: len(data) * 2 // 3])
        with pytest.raises(DecodeError):
            decode(data[: len(data) * 2 // 3] + b"\xff\xd9")


def test_damaged_scan_fails_instead_of_being_filled() -> None:
    data = fault("progressive.jpg")
    with pytest.raises(DecodeError):
        decode(data[: len(data) // 2] + b"\xff\xd9")


def test_limit_is_held_before_decoding() -> None:
    with pytest.raises(DecodeError, match="MP") as raised:
        decode(fault("progressive.jpg"), max_megapixels=0.05)
    assert raised.value.status == "unsupported"


def test_threads_get_the_same_pixels_as_one() -> None:
    names = [name for name in GOOD if "1x4000" not in name] * 3
    expected = [decode(fault(name)) for name in names]
    with ThreadPoolExecutor(8) as pool:
        for alone, together in zip(expected, pool.map(lambda n: decode(fault(n)), names), strict=True):
            assert (alone == together).all()


@pytest.mark.parametrize("name", GOOD)
def test_thumbnail_is_the_picture_small(name: str) -> None:
    import cv2

    whole = decode(fault(name))
    small = thumbnail(fault(name), 64)
    scale = min(1.0, 64 / max(whole.shape[:2]))
    assert small.shape == (max(1, round(whole.shape[0] * scale)), max(1, round(whole.shape[1] * scale)), 3)
    assert small.flags.c_contiguous
    reference = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(float) - reference).mean() < 4


@settings(max_examples=draws(150), deadline=None)
@given(name=st.sampled_from(JPEGS + PNGS), fraction=st.floats(0, 1, exclude_max=True))
def test_truncated_jpeg_or_png_is_never_decoded(name: str, fraction: float) -> None:
    data = fault(name)
    with pytest.raises(DecodeError):
        decode(data[: int(len(data) * fraction)])


@settings(max_examples=draws(300), deadline=None)
@given(
    name=st.sampled_from(JPEGS + PNGS + OTHERS),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=8),
    near_start=st.booleans(),
    cut=st.none() | st.floats(0, 1),
)
def test_damaged_bytes_give_pixels_or_a_decode_error(
    name: str, flips: list[tuple[float, int]], near_start: bool, cut: float | None
) -> None:
    data = bytearray(fault(name))
    reach = min(len(data), 500) if near_start else len(data)
    for where, bit in flips:
        data[int(reach * where)] ^= 1 << bit
    broken = bytes(data if cut is None else data[: int(len(data) * cut)])
    try:
        pixels = decode(broken, max_megapixels=20)
    except DecodeError as error:
        assert error.status in ("corrupt", "unsupported")
        assert error.reason
    else:
        found = probe(broken, name)
        assert found.status == "ok"
        assert pixels.shape == (found.height, found.width, 3)


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)
