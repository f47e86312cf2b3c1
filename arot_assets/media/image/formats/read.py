"""From bytes to the header of an image, whatever its format.

Belongs here: choosing the reader. Does not belong here: any format's own rules.
"""

from collections.abc import Callable

from arot_assets.media.image.formats.bmp import read_bmp
from arot_assets.media.image.formats.gif import read_gif
from arot_assets.media.image.formats.header import DecodeError, Header, corrupt
from arot_assets.media.image.formats.heif import read_heif
from arot_assets.media.image.formats.jpeg import read_jpeg
from arot_assets.media.image.formats.png import read_png
from arot_assets.media.image.formats.signature import UnknownFormatError, signature
from arot_assets.media.image.formats.tiff import read_tiff
from arot_assets.media.image.formats.webp import read_webp

Reader = Callable[[bytes, Header, bool], None]

READERS: dict[str, Reader] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "WEBP": read_webp,
    "GIF": read_gif,
    "BMP": read_bmp,
    "TIFF": read_tiff,
    "AVIF": read_heif,
    "HEIC": read_heif,
}


def read_header(data: bytes, header: Header, whole: bool = True) -> None:
    """Fill an empty header from the bytes of a file, without decoding if the format allows it.

    Args:
        data: the file.
        header: filled in place, as far as the file can be understood, even if this raises.
        whole: also check that everything after the header is present. False if a strict decode follows anyway.

    Raises:
        DecodeError: damaged, too large, or cannot be decoded here.
    """
    try:
        header.format = signature(data)
        READERS[header.format](data, header, whole)
    except UnknownFormatError as error:
        header.format = error.format
        raise
    except DecodeError:
        raise
    except (IndexError, ValueError, OverflowError) as error:
        raise corrupt(f"{header.format} header is damaged: {error}") from error
