"""Opening an image with Pillow, for the formats and the oddities that have no faster way.

Belongs here: the one place that opens files with Pillow, limits and errors included.
Does not belong here: turning an image into RGB (``datasets.decode``).
"""

from typing import TYPE_CHECKING, Any

from arot_assets.media.image.formats.header import DecodeError, Header, corrupt, unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.TiffImagePlugin import TiffImageFile
    from pillow_heif import HeifFile


def open_image(data: bytes, header: Header) -> "Image":
    """Open without decoding, with the plug-in of ``header.format`` only, and hold the size to the header's limit.

    Pillow's own limit (``Image.MAX_IMAGE_PIXELS``, one for the whole process) is switched off: ours is in the header,
    in megapixels, and refuses before Pillow is asked. Writing the same value from several threads is harmless.

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
    """Open a TIFF file at the page that is the image. Raises as ``open_image`` does."""
    image = open_image(data, header)
    try:
        image.seek(header.page)
    except Exception as error:  # see open_image
        raise translated(error, header) from error
    header.set_size(*image.size)
    return image  # type: ignore[return-value]


def gray_levels(data: bytes) -> "NDArray[Any]":
    """The levels of a gray TIFF that we wrote ourselves, ``[H, W]``; whatever goes wrong is raised as it comes."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # as in open_image
    with Image.open(BytesIO(data), formats=["TIFF"]) as image:
        return np.asarray(image)


def open_heif(data: bytes, header: Header) -> "HeifFile":
    """Open HEIC without decoding; libheif turns its images upright. Raises as ``open_image`` does."""
    import pillow_heif

    try:
        heif = pillow_heif.open_heif(data)
    except Exception as error:  # libheif's errors come as several kinds
        raise translated(error, header) from error
    header.set_size(*heif.size)
    return heif


def load_whole(image: "Image", header: Header) -> None:
    """Decode the pixels of the current frame.

    Raises:
        DecodeError: they are damaged or not all there.
    """
    try:
        image.load()
    except Exception as error:  # see open_image
        raise translated(error, header) from error


def load_heif(heif: "HeifFile", header: Header) -> "Image":
    """Decode the primary image of a HEIC file. Raises as ``load_whole`` does."""
    try:
        return heif.to_pillow()
    except Exception as error:  # see open_heif
        raise translated(error, header) from error


def translated(error: Exception, header: Header) -> DecodeError:
    """Whatever a decoder raised, as the one error that callers know."""
    if isinstance(error, MemoryError):
        return unsupported(f"not enough memory to decode {header.width}x{header.height} pixels")
    message = " ".join(str(error).split()) or type(error).__name__
    return corrupt(f"{header.format} can't be decoded: {message.split(' <_io.BytesIO')[0]}")
