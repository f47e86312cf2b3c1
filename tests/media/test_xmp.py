"""What generators write into XMP packets, in every format that has them."""

import json
from io import BytesIO
from xml.sax.saxutils import escape, quoteattr

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from arot_assets.media.image.probe import probe

WEB_UI = "a cat\nNegative prompt: blurry\nSteps: 28, Sampler: Euler a, CFG scale: 6.5, Seed: 1234567890, Size: 64x64"
DRAW_THINGS = {
    "c": "a lighthouse at dusk, émoji 🌊",
    "uc": "blurry, watermark",
    "seed": 77,
    "steps": 22,
    "scale": 6.5,
    "sampler": "DPM++ 2M Karras",
    "size": "512x512",
    "model": "sd_xl_base_1.0_f16.ckpt",
    "v2": {"seed": 1, "prompt": "another one"},
}


def xmp(comment: str, creator: str = "Draw Things", simple: bool = False) -> bytes:
    """A packet with a comment, as a list of alternatives or as attributes."""
    told = escape(comment)
    if simple:
        body = f"<rdf:Description xmp:CreatorTool={quoteattr(creator)} exif:UserComment={quoteattr(comment)}/>"
    else:
        body = (
            f"<rdf:Description rdf:about=''><xmp:CreatorTool>{creator}</xmp:CreatorTool>"
            f"<exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>{told}</rdf:li></rdf:Alt></exif:UserComment>"
            "</rdf:Description>"
        )
    return (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:xmp='http://ns.adobe.com/xap/1.0/' "
        f"xmlns:exif='http://ns.adobe.com/exif/1.0/'>{body}</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


def with_xmp(packet: bytes, kind: str) -> bytes:
    """A small file of a format with an XMP packet."""
    out = BytesIO()
    image = Image.new("RGB", (32, 32))
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(out, kind, pnginfo=info)
    else:
        image.save(out, kind, xmp=packet)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("simple", [False, True])
def test_draw_things_keeps_it_in_xmp(kind: str, simple: bool) -> None:
    packet = xmp(json.dumps(DRAW_THINGS, ensure_ascii=False), simple=simple)
    found = probe(with_xmp(packet, kind), f"a.{kind.lower()}").generation
    assert found is not None
    raw = found.pop("raw")
    assert found == {
        "tool": "draw_things",
        "prompt": "a lighthouse at dusk, émoji 🌊",
        "negative_prompt": "blurry, watermark",
        "seed": 77,
        "steps": 22,
        "sampler": "DPM++ 2M Karras",
        "cfg_scale": 6.5,
        "model": "sd_xl_base_1.0_f16.ckpt",
    }
    assert raw["UserComment"] == DRAW_THINGS


def test_web_ui_text_in_xmp_is_read_and_that_of_a_photo_editor_is_none() -> None:
    found = probe(with_xmp(xmp(WEB_UI, "GIMP"), "JPEG"), "a.jpg").generation
    assert found is not None
    assert (found["tool"], found["seed"]) == ("sd_webui", 1234567890)
    assert probe(with_xmp(xmp("my holidays", "Adobe Photoshop 25.0"), "JPEG"), "a.jpg").generation is None


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"<x:xmpmeta",
        b"\xff\xfe\x00",
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + xmp("&b;"),
        xmp("{not json"),
        xmp("[1]"),
    ],
)
def test_damaged_or_hostile_xmp_costs_nothing_else(packet: bytes) -> None:
    found = probe(with_xmp(packet, "WEBP") if packet else with_xmp(xmp("{}"), "PNG"), "a.webp")
    assert found.status == "ok"
    assert found.generation is None or "prompt" not in found.generation
