"""Text in the lowest bits of the pixels."""

import gzip
import json
import zlib
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from arot_assets.media.image import stealth
from arot_assets.media.image.probe import probe

WEBUI = "a fox\nNegative prompt: blurry\nSteps: 20, Sampler: euler, Seed: 7"
NOVELAI = json.dumps(
    {
        "Software": "NovelAI",
        "Source": "m",
        "Description": "a fox",
        "Comment": json.dumps({"uc": "blurry", "seed": 7, "steps": 20}),
    }
)
Pixels = NDArray[np.uint8]


def hide(pixels: Pixels, signature: bytes, text: str) -> Pixels:
    """The pixels with text in their lowest bits, down the columns: of alpha, or of all three colours."""
    body = text.encode()
    body = gzip.compress(body) if signature.endswith(b"comp") else body
    bits = np.unpackbits(np.frombuffer(signature + (8 * len(body)).to_bytes(4, "big") + body, np.uint8))
    channels = slice(0, 3) if b"rgb" in signature else slice(3, 4)
    columns = pixels[..., channels].transpose(1, 0, 2)
    low = columns.reshape(-1).copy()
    low[: len(bits)] = low[: len(bits)] & 254 | bits
    hidden = pixels.copy()
    hidden[..., channels] = low.reshape(columns.shape).transpose(1, 0, 2)
    return hidden


def picture(height: int, width: int, channels: int, alpha: int = 255) -> Pixels:
    """Noise over a gradient, which makes PNG encoders use all kinds of filters."""
    rng = np.random.default_rng(5)
    ramp = np.add.outer(np.arange(height), np.arange(width))[..., None] + rng.integers(0, 9, (height, width, channels))
    pixels = (ramp % 256).astype(np.uint8)
    if channels == 4:
        pixels[..., 3] = alpha
    return pixels


def encoded(pixels: Pixels, kind: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("height", "width"), [(160, 130), (120, 160), (40, 300), (9, 3000), (700, 20)])
@pytest.mark.parametrize(
    ("signature", "channels"),
    [
        *(
            (signature, 4)
            for signature in (b"stealth_pnginfo", b"stealth_pngcomp", b"stealth_rgbinfo", b"stealth_rgbcomp")
        ),
        *((signature, 3) for signature in (b"stealth_rgbinfo", b"stealth_rgbcomp")),
    ],
)
def test_web_ui_text_in_png(height: int, width: int, signature: bytes, channels: int) -> None:
    found = probe(encoded(hide(picture(height, width, channels), signature, WEBUI)), "a.png").generation
    assert found is not None
    assert found["raw"] == {"stealth": WEBUI}
    assert (found["tool"], found["prompt"], found["negative_prompt"], found["seed"]) == (
        "sd_webui",
        "a fox",
        "blurry",
        7,
    )


def test_novelai_in_png_and_webp() -> None:
    hidden = hide(picture(160, 130, 4), b"stealth_pngcomp", NOVELAI)
    files = {
        "a.png": encoded(hidden),
        "a.webp": encoded(hidden, "WEBP", lossless=True, exact=True),
    }
    for name, data in files.items():
        found = probe(data, name).generation
        assert found is not None, name
        assert (found["tool"], found["prompt"], found["negative_prompt"], found["model"]) == (
            "novelai",
            "a fox",
            "blurry",
            "m",
        )


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_of_png(kind: int) -> None:
    """Each row filtered the same way, by the specification's own formulas."""
    pixels = hide(picture(160, 30, 4, alpha=77), b"stealth_pnginfo", "Steps: 1, Seed: 2").astype(int)
    rows = []
    above = np.zeros((30, 4), int)
    for row in pixels:
        left, corner = np.vstack([np.zeros((1, 4), int), row[:-1]]), np.vstack([np.zeros((1, 4), int), above[:-1]])
        near = left + above - corner
        paeth = np.where(
            (abs(near - left) <= abs(near - above)) & (abs(near - left) <= abs(near - corner)),
            left,
            np.where(abs(near - above) <= abs(near - corner), above, corner),
        )
        guess = (0 * row, left, above, (left + above) // 2, paeth)[kind]
        rows.append(bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes())
        above = row
    plain = encoded(pixels.astype(np.uint8))
    data = plain[:33]
    for name, payload in ((b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")):
        data += len(payload).to_bytes(4, "big") + name + payload + zlib.crc32(name + payload).to_bytes(4, "big")
    found = probe(data, "a.png").generation
    assert found is not None
    assert found["raw"] == {"stealth": "Steps: 1, Seed: 2"}


def test_pictures_without_text_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(stealth, "open_image", refuse)
    for alpha in (255, 254, 0):
        assert probe(encoded(picture(200, 200, 4, alpha)), "a.png").generation is None
    assert probe(encoded(picture(200, 200, 3)), "a.png").generation is None
    assert probe(encoded(picture(200, 200, 3), "WEBP", lossless=True), "a.webp").generation is None
    assert probe(encoded(picture(200, 200, 4, 9), "WEBP"), "a.webp").generation is None


@pytest.mark.parametrize("damage", ["length", "packed"])
def test_damaged_text_is_no_text(damage: str) -> None:
    pixels = hide(picture(160, 130, 4), b"stealth_pngcomp", WEBUI)
    at = slice(120, 152) if damage == "length" else slice(160, 400)
    column = pixels[..., 3].T.reshape(-1).copy()
    column[at] |= 1
    pixels[..., 3] = column.reshape(130, 160).T
    seen = probe(encoded(pixels), "a.png")
    assert (seen.status, seen.generation) == ("ok", None)
