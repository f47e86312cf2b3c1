"""Every bit depth, sample format and layout becomes the colours it means, or is refused at once."""

import io
import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from arot_assets.media.image.decode import DecodeError, decode
from arot_assets.media.image.formats import tiff_samples
from arot_assets.media.image.probe import probe
from tests.media.tiff_files import SIDE, tiff_of
from tests.tiers import draws

HEIGHT, WIDTH = 32, 48
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_RAMP = (np.add.outer(np.arange(HEIGHT) * 37, np.arange(WIDTH) * 1000) % 65536).astype(np.uint16)
_RGB = np.stack([_RAMP, _RAMP[::-1], 65535 - _RAMP], -1)
_ALPHA = np.repeat(np.linspace(0, 65535, HEIGHT).astype(np.uint16)[:, None], WIDTH, 1)


def png(samples: NDArray[np.uint16], bits: int, clear: tuple[int, ...] = (), **chunks: bytes) -> bytes:
    """A gray or RGB PNG of any bit depth with one transparent colour."""
    flat = samples.reshape(HEIGHT, -1)
    unpacked = np.unpackbits(flat.astype(">u2").view(np.uint8).reshape(HEIGHT, -1, 2), axis=2)[..., 16 - bits :]
    rows = np.packbits(unpacked.reshape(HEIGHT, -1), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 2 if samples.ndim == 3 else 0, 0, 0, 0),
        **{name.encode(): value for name, value in chunks.items()},
        **({b"tRNS": struct.pack(f">{len(clear)}H", *clear)} if clear else {}),
        b"IDAT": zlib.compress(body),
        b"IEND": b"",
    }
    out = b"\x89PNG\r\n\x1a\n"
    for name, value in parts.items():
        out += struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))
    return out


def tiff(samples: NDArray[Any], photometric: str, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, samples, photometric=photometric, metadata=None, **options)
    return out.getvalue()


def rgb(levels: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(levels[..., None], 3, 2) if levels.ndim == 2 else levels


def off(data: bytes, expected: NDArray[Any]) -> int:
    """The largest difference of a level; the probe must agree that it is an image of that size."""
    found = probe(data, "a")
    pixels = decode(data)
    assert (found.status, found.height, found.width) == ("ok", *pixels.shape[:2])
    assert pixels.shape == rgb(expected).shape
    return int(np.abs(pixels.astype(int) - rgb(expected).astype(int)).max())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_level_of_a_gray_png_is_white_at_every_bit_depth(bits: int) -> None:
    levels = _RAMP >> 16 - bits
    shown = levels >> 8 if bits == 16 else levels * 255 // (2**bits - 1)
    for clear in (0, int(levels[3, 5]), 2**bits - 1):
        data = png(levels, bits, (clear,))
        assert off(data, np.where(levels == clear, 255, shown)) == 0
        assert probe(data, "a.png").has_alpha


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_an_rgb_png_is_compared_with_all_its_bits(bits: int) -> None:
    colours = _RGB >> 16 - bits
    if bits == 16:
        colours[0, 0] = colours[3, 5] ^ 1  # the same high bytes, another colour
    clear = tuple(int(sample) for sample in colours[3, 5])
    shown = colours >> bits - 8
    white = np.where((colours == clear).all(axis=2, keepdims=True), 255, shown)
    assert (white[3, 5] == 255).all()
    assert (white[0, 0] == shown[0, 0]).all()
    assert off(png(colours, bits, clear), white) == 0


def test_only_the_low_bits_of_a_transparent_level_count() -> None:
    levels = _RAMP >> 12
    assert off(png(levels, 4, (0xFF00 | int(levels[3, 5]),)), np.where(levels == levels[3, 5], 255, levels * 17)) == 0


def test_a_profile_is_applied_to_deep_colours_with_a_transparent_one() -> None:
    name = b"p\0\0"
    p3 = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    clear = tuple(int(sample) for sample in _RGB[3, 5])
    data = png(_RGB, 16, clear, iCCP=name + zlib.compress(p3))
    white = np.where((clear == _RGB).all(axis=2, keepdims=True), 255, _RGB >> 8)
    assert off(data, white) <= 1
    assert probe(data, "a.png").icc_profile == "sRGB built-in"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
@pytest.mark.parametrize("bits", [8, 16])
def test_gray_and_rgb_tiff_show_their_high_byte(bits: int, compression: str | None, order: str) -> None:
    kind = np.uint8 if bits == 8 else np.uint16
    gray, colours = (_RAMP >> 16 - bits).astype(kind), (_RGB >> 16 - bits).astype(kind)
    kept: dict[str, Any] = {"byteorder": order, "compression": compression}
    assert off(tiff(gray, "minisblack", **kept), _RAMP >> 8) == 0
    assert off(tiff(colours, "rgb", **kept), _RGB >> 8) == 0


@pytest.mark.parametrize("bits", [8, 16])
def test_zero_is_white_where_a_tiff_says_so(bits: int) -> None:
    gray = (_RAMP >> 16 - bits).astype(np.uint8 if bits == 8 else np.uint16)
    assert off(tiff(gray, "miniswhite", byteorder="<"), (65535 - _RAMP) >> 8) == 0


def _refused() -> dict[str, bytes]:
    files = {}
    for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u4", "u8", "c8"):
        for order in "<>":
            files[f"{kind}{order} gray"] = tiff((_RAMP >> 8).astype(kind), "minisblack", byteorder=order)
            files[f"{kind}{order} rgb"] = tiff((_RGB >> 8).astype(kind), "rgb", byteorder=order)
    byte = (_RGB >> 8).astype(np.uint8)
    six = np.concatenate([byte, byte], -1)
    return files | {
        "6 bands": tiff(six, "minisblack", planarconfig="contig"),
        "6 deep bands": tiff(six.astype(np.uint16), "minisblack", planarconfig="contig"),
        "cielab": tiff(byte, "cielab"),
        "icclab": tiff(byte, "icclab"),
        "colour filter array": tiff(_RAMP, "cfa"),
        **_unread(),
    }


def _unread() -> dict[str, bytes]:
    """Depths, planes and codecs that no reader here has."""
    planes, pixels = [bytes(SIDE * SIDE * 2)] * 3, [bytes(SIDE * SIDE * 6)]
    gray = [bytes(SIDE * SIDE * 2)]
    pressed = [zlib.compress(pixels[0])]
    return {
        "12-bit planes": tiff_of(planes, 12, 2, planar=2),
        "12-bit plane": tiff_of(gray, 12, 1, samples=1, planar=2),
        "12-bit colours": tiff_of(pixels, 12, 2),
        "inverted bits in a plane": tiff_of(gray, 1, 0, samples=1, planar=2),
        "4-bit plane": tiff_of(gray, 4, 1, samples=1, planar=2),
        "4-bit palette plane": tiff_of(gray, 4, 3, samples=1, planar=2, more={320: [0] * 48}),
        "YCbCr planes": tiff_of(planes, 8, 6, planar=2),
        "deep YCbCr planes": tiff_of(planes, 16, 6, planar=2),
        "deep YCbCr": tiff_of(pixels, 16, 6),
        "JPEG in deep planes": tiff_of(planes, 16, 2, planar=2, compression=7),
        "JPEG of deep pixels": tiff_of(pixels, 16, 2, compression=7),
        "JPEG of 12-bit gray": tiff_of(gray, 12, 1, samples=1, compression=7),
        "fax of gray": tiff_of(gray, 8, 1, samples=1, compression=4),
        "ThunderScan of 8 bits": tiff_of(gray, 8, 1, samples=1, compression=32809),
        "LogLuv of gray": tiff_of(gray, 8, 1, samples=1, compression=34676),
        "WebP": tiff_of(pixels, 8, 2, compression=50001),
        "JPEG 2000": tiff_of(pixels, 8, 2, compression=34712),
        "predictor of floats": tiff_of(pressed, 8, 2, compression=8, more={317: [3]}),
        "unknown predictor": tiff_of(pressed, 16, 2, compression=8, more={317: [34892]}),
    }


_REFUSED = _refused()


@pytest.mark.parametrize("name", _REFUSED)
def test_a_tiff_that_is_no_picture_is_unsupported_in_probe_and_decoder(name: str) -> None:
    found = probe(_REFUSED[name], "a.tif")
    assert found.status == "unsupported"
    assert found.reason
    with pytest.raises(DecodeError) as raised:
        decode(_REFUSED[name])
    assert (raised.value.status, raised.value.reason) == ("unsupported", found.reason)


@pytest.mark.parametrize(("bits", "photometric"), [(1, 1), (8, 0), (8, 1), (16, 0), (16, 1)])
def test_a_single_sample_called_a_plane_is_read(bits: int, photometric: int) -> None:
    pixels = np.random.default_rng(bits).integers(0, 256, SIDE * SIDE * bits // 8).astype(np.uint8).tobytes()
    plane, plain = (tiff_of([pixels], bits, photometric, samples=1, planar=planar) for planar in (2, 1))
    assert probe(plane, "a.tif").status == "ok"
    assert np.array_equal(decode(plane), decode(plain))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_picture_is_the_first_page_that_is_no_thumbnail_and_no_mask(order: str) -> None:
    byte = (_RGB >> 8).astype(np.uint8)
    out = io.BytesIO()
    with tifffile.TiffWriter(out, byteorder=order) as writer:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        turned = [(274, "H", 1, 6, True)]
        writer.write(
            byte[::4, ::4], photometric="rgb", subfiletype=1, metadata=None, iccprofile=profile, extratags=turned
        )
        writer.write(_RAMP > 9, photometric="mask", subfiletype=4, metadata=None)
        writer.write(byte, photometric="rgb", metadata=None, extratags=[(274, "H", 1, 3, True)])
        writer.write(byte[::-1], photometric="rgb", metadata=None)
    found = probe(out.getvalue(), "a.tif")
    assert (found.n_frames, found.icc_profile) == (2, None)
    assert off(out.getvalue(), byte[::-1, ::-1]) == 0


def test_a_thumbnail_alone_is_the_picture() -> None:
    byte = (_RGB >> 8).astype(np.uint8)
    data = tiff(byte, "rgb", subfiletype=1)
    assert probe(data, "a.tif").n_frames == 1
    assert off(data, byte) == 0


def test_twelve_bits_are_scaled_by_their_own_range() -> None:
    levels = _RAMP >> 4
    packed = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(HEIGHT, WIDTH, 2), axis=2)[..., 4:]
    strip = np.packbits(packed.reshape(HEIGHT, -1), axis=1).tobytes()
    tags = [
        *((256, 3, WIDTH), (257, 3, HEIGHT), (258, 3, 12), (259, 3, 1), (262, 3, 1)),
        *((273, 4, 8), (277, 3, 1), (278, 3, HEIGHT), (279, 4, len(strip))),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    data = b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)
    assert off(data, _RAMP >> 8) == 0


def test_a_profile_without_a_readable_name_is_noted() -> None:
    out = io.BytesIO()
    Image.fromarray((_RGB >> 8).astype(np.uint8)).save(out, "PNG", icc_profile=b"no profile")
    found = probe(out.getvalue(), "a.png")
    assert (found.icc_profile, found.notes) == ("unnamed", ("bad_metadata",))


CHANNELS = {
    "gray": ("minisblack", 1),
    "inverted gray": ("miniswhite", 1),
    "rgb": ("rgb", 3),
    "cmyk": ("separated", 4),
}
EXTRAS = {
    "nothing": (),
    "alpha": ("unassalpha",),
    "premultiplied alpha": ("assocalpha",),
    "something": ("unspecified",),
    "something and alpha": ("unspecified", "unassalpha"),
}

LAYOUTS: list[dict[str, Any]] = [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}, {"tile": (32, 48)}]
CODECS: list[dict[str, Any]] = [
    {},
    {"compression": "zlib"},
    {"compression": "zlib", "predictor": 2},
    {"compression": "lzma"},
]


def channels(colours: str, bits: int) -> NDArray[Any]:
    """``[H, W, C]``."""
    full = np.concatenate([_RGB, _RAMP[:, ::-1, None] // 3], -1)[..., : CHANNELS[colours][1]]
    return (full >> 16 - bits).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("colours", CHANNELS)
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_in_planes_and_beside_alpha_are_the_same_colours(
    colours: str, extra: str, bits: int, planar: Any
) -> None:
    """Whatever the order of samples, strips or tiles, codec and predictor; worked out from the samples by NumPy alone."""
    kinds = EXTRAS[extra]
    if len(kinds) == 2 and CHANNELS[colours][1] == 1:
        pytest.skip("two bands beside gray are a measurement")
    top = 2**bits - 1
    values = channels(colours, bits)
    alpha = (_ALPHA >> 16 - bits).astype(values.dtype)
    stored = values
    if "assocalpha" in kinds:
        stored = (values.astype(np.int64) * alpha[..., None] // top).astype(values.dtype)
    seen = "unassalpha" in kinds or "assocalpha" in kinds
    extras = [alpha if kind != "unspecified" else values[..., 0] for kind in kinds]
    samples = np.concatenate([stored, *(e[..., None] for e in extras)], -1)
    high = values.astype(int) >> bits - 8
    shown = 255 - high if colours == "inverted gray" else high
    if colours == "cmyk":
        shown = np.asarray(Image.fromarray(high.astype(np.uint8), "CMYK").convert("RGB")).astype(int)
    if seen:
        weight = alpha.astype(int)[..., None] >> bits - 8
        shown = shown * weight / 255 + 255 - weight
    shown = np.repeat(shown, 3, 2) if shown.shape[2] == 1 else shown
    # multiplied colours lost their last bits: one level of what is seen, of each of the inks of CMYK
    slack = 1 if "assocalpha" not in kinds else 4 if colours == "cmyk" else 2
    for written in _written(samples, CHANNELS[colours][0], kinds, planar):
        found = probe(written, "a.tif")
        assert found.status == "ok", found.reason
        assert found.has_alpha == seen
        assert off(written, shown) <= slack


def _written(samples: NDArray[Any], photometric: str, kinds: tuple[str, ...], planar: str) -> list[bytes]:
    count = samples.shape[2]
    data = samples[..., 0] if count == 1 else np.moveaxis(samples, -1, 0) if planar == "separate" else samples
    options: dict[str, Any] = {"planarconfig": planar} if count > 1 else {}
    options |= {"extrasamples": kinds} if kinds else {}
    forms = list(itertools.product(LAYOUTS, CODECS))
    files = []
    for layout, codec in forms[:: len(forms) // draws(len(forms))]:
        order = "<" if len(files) % 2 else ">"
        big = len(files) % 3 == 0
        kept: dict[str, Any] = {"byteorder": order, "bigtiff": big, **options, **layout, **codec}
        try:
            files.append(tiff(np.ascontiguousarray(data), photometric, **kept))
        except (ImportError, ValueError) as error:  # the writer has no predictor for it
            assert "imagecodecs" in str(error) or "redictor" in str(error), error
    assert len(files) >= draws(len(forms)) * 3 // 4
    return files


def test_damaged_planes_are_corrupt() -> None:
    planes = np.moveaxis(channels("rgb", 16), -1, 0)
    whole = bytearray(tiff(planes, "rgb", planarconfig="separate", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        at, size = (int(file.pages[0].tags[name].value[1]) for name in ("StripOffsets", "StripByteCounts"))  # type: ignore[union-attr]
    whole[at + 10 : at + size - 10] = bytes(size - 20)
    with pytest.raises(DecodeError) as raised:
        decode(bytes(whole))
    assert raised.value.status == "corrupt"
    assert probe(bytes(whole[: at + 5]), "a.tif").status == "corrupt"


def test_tiles_far_larger_than_the_picture_are_refused() -> None:
    planes = np.moveaxis(channels("rgb", 16), -1, 0)
    small = bytearray(tiff(planes, "rgb", planarconfig="separate", tile=(16, 16), compression="zlib", byteorder="<"))
    with tifffile.TiffFile(io.BytesIO(small)) as file:
        for name in ("TileWidth", "TileLength"):
            tag = file.pages[0].tags[name]  # type: ignore[union-attr]
            small[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", 60000)
    with pytest.raises(DecodeError, match="tiles of 60000x60000"):
        decode(bytes(small))


def test_large_planes_come_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = np.moveaxis(channels("rgb", 16), -1, 0)
    data = tiff(
        planes, "rgb", planarconfig="separate", compression="zlib", predictor=2, rowsperstrip=3, iccprofile=_SRGB
    )
    whole = decode(data)
    monkeypatch.setattr(tiff_samples, "BAND", 48 * 6)
    assert (decode(data) == whole).all()
    assert probe(data, "a.tif").icc_profile == "sRGB built-in"


def test_orientation_holds_for_planes() -> None:
    planes = np.moveaxis(channels("rgb", 8), -1, 0)
    alpha = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    turned = tiff(
        np.concatenate([planes, alpha]), "rgb", planarconfig="separate", extrasamples=("unassalpha",),
        extratags=[(274, "H", 1, 6, True)],
    )  # fmt: skip
    assert off(turned, np.rot90(channels("rgb", 8), -1)) == 0
