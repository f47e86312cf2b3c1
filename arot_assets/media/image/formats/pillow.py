"""Opening images with Pillow, for formats and special cases without a faster decoder.

Belongs here: the only place that opens files with Pillow, including limits and errors. Does not belong here: converting
an image to RGB (``decode.py``).
"""

from typing import TYPE_CHECKING, Any

from arot_assets.media.image.formats.header import DecodeError, Header, corrupt, unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.TiffImagePlugin import TiffImageFile
    from pillow_heif import HeifFile


def open_image(data: bytes, header: Header) -> "Image":
    """Open without decoding, with the plug-in of ``header.format`` only, and check the size against the header's limit.

    Pillow's own limit (``Image.MAX_IMAGE_PIXELS``, one for the whole process) is disabled: ours is in the header, in
    megapixels, and is checked before Pillow is called. Writing the same value from several threads is harmless.

    Raises:
        DecodeError: not readable, or over the limit.
    """
    from io import BytesIO

    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(BytesIO(data), formats=[str(header.format)])
    except Exception as error:  # plug-ins raise a dozen kinds of error on damaged bytes
        raise translated(error, header) from error
    header.set_size(*image.size)
    return image


def open_page(data: bytes, header: Header) -> "TiffImageFile":
    """Open a TIFF file at the page that is the image. Raises like ``open_image``."""
    image = open_image(data, header)
    try:
        image.seek(header.page)
    except Exception as error:  # see open_image
        raise translated(error, header) from error
    header.set_size(*image.size)
    return image  # type: ignore[return-value]


def gray_levels(data: bytes) -> "NDArray[Any]":
    """The levels of a gray TIFF that we wrote ourselves, ``[H, W]``; all exceptions are passed on."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # as in open_image
    with Image.open(BytesIO(data), formats=["TIFF"]) as image:
        return np.asarray(image)


def open_heif(data: bytes, header: Header) -> "HeifFile":
    """Open HEIC without decoding; libheif applies the orientation. Raises like ``open_image``."""
    import pillow_heif

    try:
        heif = pillow_heif.open_heif(data)
    except Exception as error:  # libheif raises several kinds of errors
        raise translated(error, header) from error
    header.set_size(*heif.size)
    return heif


def load_whole(image: "Image", header: Header) -> None:
    """Decode the pixels of the current frame.

    Raises:
        DecodeError: they are damaged or incomplete.
    """
    try:
        image.load()
    except Exception as error:  # see open_image
        raise translated(error, header) from error


def load_heif(heif: "HeifFile", header: Header) -> "Image":
    """Decode the primary image of a HEIC file. Raises like ``load_whole``."""
    try:
        return heif.to_pillow()
    except Exception as error:  # see open_heif
        raise translated(error, header) from error


def translated(error: Exception, header: Header) -> DecodeError:
    """Any exception of a decoder, as the one error that callers handle."""
    if isinstance(error, MemoryError):
        return unsupported(f"not enough memory to decode {header.width}x{header.height} pixels")
    message = " ".join(str(error).split()) or type(error).__name__
    return corrupt(f"{header.format} can't be decoded: {message.split(' <_io.BytesIO')[0]}")
