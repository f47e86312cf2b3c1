"""The type of a file, determined by its content; names are ignored.

Belongs here: signatures, and an informative reason for files that are not images. Does not belong here: anything beyond
the first few kilobytes of a file.
"""

import re

from arot_assets.media.image.formats.header import DecodeError, corrupt, unsupported

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")
"""The formats that are decoded."""

HEAD = 4096
"""Number of bytes that are examined."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)

_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\x0a", "JXL", "JPEG XL image: no decoder is installed; convert it to PNG or JPEG"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL", "JPEG XL image: no decoder is installed; convert it to PNG or JPEG"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000", "JPEG 2000 image: convert it to PNG or JPEG"),
    (b"\xff\x4f\xff\x51", "JPEG2000", "JPEG 2000 image: convert it to PNG or JPEG"),
    (b"8BPS", "PSD", "Photoshop document, not an image file"),
    (b"\x76\x2f\x31\x01", "EXR", "OpenEXR image: floating point, convert it to PNG or JPEG"),
    (b"#?RADIANCE", "HDR", "Radiance HDR image: floating point, convert it to PNG or JPEG"),
    (b"\x00\x00\x01\x00", "ICO", "Windows icon, not an image file"),
    (b"qoif", "QOI", "QOI image: convert it to PNG"),
    (b"DDS ", "DDS", "DDS texture, not an image file"),
    (b"FUJIFILMCCD-RAW", "RAW", "camera raw (Fujifilm RAF): develop it to TIFF, PNG or JPEG"),
    (b"IIU\x00", "RAW", "camera raw (Panasonic RW2): develop it to TIFF, PNG or JPEG"),
    (b"IIRO", "RAW", "camera raw (Olympus ORF): develop it to TIFF, PNG or JPEG"),
    (b"\x1aE\xdf\xa3", "MKV", "Matroska or WebM video, not an image"),
    (b"FLV\x01", "FLV", "Flash video, not an image"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF", "Windows Media video, not an image"),
    (b"\x00\x00\x01\xba", "MPEG", "MPEG video, not an image"),
    (b"\x00\x00\x01\xb3", "MPEG", "MPEG video, not an image"),
    (b"OggS", "OGG", "Ogg audio or video, not an image"),
    (b"ID3", "MP3", "MP3 audio, not an image"),
    (b"fLaC", "FLAC", "FLAC audio, not an image"),
    (b"%PDF-", "PDF", "PDF document, not an image"),
    (b"%!PS", "EPS", "PostScript, no pixels: it needs a renderer"),
    (b"PK\x03\x04", "ZIP", "ZIP archive (or a document made of one), not an image"),
    (b"Rar!\x1a\x07", "RAR", "RAR archive, not an image"),
    (b"7z\xbc\xaf\x27\x1c", "7Z", "7-Zip archive, not an image"),
    (b"\x1f\x8b", "GZIP", "gzip data, not an image; perhaps a compressed web response that was not decompressed"),
    (b"\x28\xb5\x2f\xfd", "ZSTD", "zstd data, not an image"),
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}


def signature(data: bytes) -> str:
    """The format of an image file.

    Returns:
        One of ``FORMATS``.

    Raises:
        UnknownFormatError: anything else, with what it is.
    """
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "BMP"
    if data[4:8] == b"ftyp":
        return _iso_media(data)
    raise _not_an_image(data)


class UnknownFormatError(DecodeError):
    """Bytes that are none of ``FORMATS``; ``format`` names their type, if known."""

    def __init__(self, cause: DecodeError, format: str | None) -> None:
        super().__init__(cause.status, cause.reason)
        self.format = format


def _iso_media(data: bytes) -> str:
    """AVIF or HEIC by the brands of the first box; every other ISO media file is a video."""
    end = min(int.from_bytes(data[:4], "big"), len(data), HEAD)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, end - 3, 4))}
    if data[8:12] in _AVIF_BRANDS or (data[8:12] in (b"mif1", b"msf1") and brands & _AVIF_BRANDS):
        return "AVIF"
    if data[8:12] in _HEIC_BRANDS or data[8:12] in (b"mif1", b"msf1"):
        return "HEIC"
    if data[8:12] == b"crx ":
        raise UnknownFormatError(unsupported("camera raw (Canon CR3): develop it to TIFF, PNG or JPEG"), "RAW")
    name = "MOV" if data[8:12] == b"qt  " else "MP4"
    raise UnknownFormatError(unsupported(f"{name} video, not an image"), name)


def _not_an_image(data: bytes) -> UnknownFormatError:
    """The type of bytes without an image signature."""
    if not data:
        return UnknownFormatError(corrupt("empty file, 0 bytes"), None)
    for magic, name, reason in _OTHERS:
        if data.startswith(magic):
            return UnknownFormatError(unsupported(reason), name)
    if data[:4] == b"RIFF":
        kind = "AVI video" if data[8:11] == b"AVI" else "RIFF file (sound?)"
        return UnknownFormatError(unsupported(f"{kind}, not an image"), "AVI" if kind.startswith("AVI") else None)
    head = data[:HEAD]
    if not head.strip(b"\x00"):
        return UnknownFormatError(
            corrupt("starts with zero bytes only: never written, or a hole left by a failed copy"), None
        )
    text = _as_text(head)
    if text is None:
        return UnknownFormatError(corrupt("no known image signature"), None)
    return _text_file(text)


def _as_text(head: bytes) -> str | None:
    """The first bytes as text, None if they are binary."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    if any(c < 32 and c not in b"\t\n\f\r\x1b" for c in head):
        return None
    return head.decode("utf-8", "replace").removeprefix("\ufeff")


def _text_file(text: str) -> UnknownFormatError:
    """The type of a text file found in place of an image."""
    start = text.lstrip().lower()
    if re.search(r"<svg[\s>]", text, re.IGNORECASE):
        return UnknownFormatError(unsupported("SVG vector drawing, no pixels: it needs a renderer"), "SVG")
    if re.match(r"<(!doctype html|html|head|body)\b", re.sub(r"<!--.*?-->", "", start, flags=re.DOTALL).lstrip()):
        return UnknownFormatError(corrupt("HTML page, probably a failed download"), "HTML")
    if start.startswith("version https://git-lfs"):
        return UnknownFormatError(corrupt("Git LFS pointer: the file itself was not fetched (git lfs pull)"), None)
    if start.startswith("<"):
        return UnknownFormatError(corrupt("XML document, perhaps an error response of a server"), "XML")
    if start.startswith(("{", "[")):
        return UnknownFormatError(corrupt("JSON text, perhaps an error response of a server"), "JSON")
    return UnknownFormatError(corrupt("text file, no image signature"), "TEXT")
