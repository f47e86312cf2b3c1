"""Images for notebooks: PIL images and arrays, complete and upright.

Belongs here: bytes <-> images, thumbnails. Does not belong here: the pixels that metrics measure, which are decoded with
colour management (``arot_assets.media.image.decode``).
"""

import base64
import io
from typing import IO, TYPE_CHECKING, Any

from resources.storage.objects import StorageError

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = tuple(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .ico .tga .dds .pcx .qoi "
    ".ppm .pgm .pbm .pnm .jp2 .j2k .jpx .jpf .ras .xbm .xpm .psd .exif".split()
)
JPEG_QUALITY = 95
THUMBNAIL_QUALITY = 80
PAPER = (255, 255, 255)


def read_image(file: IO[bytes], as_: str = "pil") -> Any:
    """An image, fully decoded and rotated as its EXIF says, so that a truncated file fails here and now.

    Args:
        file: its bytes.
        as_: ``pil``, or ``numpy`` for ``uint8 [H, W, 3]`` RGB.

    Returns:
        An image. One with several frames is returned as it is, at its first frame.

    Raises:
        ValueError: it is not an image, is incomplete, or is implausibly large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    _register()
    data = file.read()
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        image.load()
    except UnidentifiedImageError as error:
        raise ValueError(f"not an image: {len(data):,} bytes that begin with {data[:12]!r}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    if getattr(image, "n_frames", 1) == 1:
        kind, image = image.format, ImageOps.exif_transpose(image)
        image.format = kind
    if as_ == "numpy":
        import numpy as np

        return np.asarray(opaque(image))
    return image


def codec(uri: str, extension: str | None) -> str:
    """Pillow's name for the format of a URI or an extension.

    Raises:
        StorageError: Pillow cannot write this format.
    """
    from PIL import Image

    _register()
    name = (extension or uri.split("?")[0]).lower().rsplit(".", 1)[-1]
    found = Image.registered_extensions().get(f".{name}", "")
    if found not in Image.SAVE:
        raise StorageError(f"cannot write '{uri}': Pillow cannot write .{name}; use .png, .jpg or .webp", kind="format")
    return found


def write_image(data: Any, kind: str, **options: Any) -> bytes:
    """An image as bytes.

    Args:
        data: a PIL image, or an array ``uint8 [H, W]``, ``[H, W, 3]`` RGB or ``[H, W, 4]`` RGBA.
        kind: Pillow's name for the format.
        options: of Pillow's writer, e.g. ``quality``; for JPEG it is 95 by default.

    Raises:
        ValueError: the format cannot hold this image.
    """
    _register()
    image = as_image(data)
    if kind == "JPEG":
        options = {"quality": JPEG_QUALITY, **options}
    sink = io.BytesIO()
    try:
        image.save(sink, kind, **options)
    except (OSError, KeyError) as error:
        raise ValueError(
            f"{error}; {kind} cannot hold mode {image.mode}: convert it first, image.convert('RGB')"
        ) from error
    return sink.getvalue()


def as_image(data: Any) -> "Image":
    """A PIL image from a PIL image or an array (as ``write_image`` takes it).

    Raises:
        ValueError: anything else.
    """
    import numpy as np
    from PIL import Image

    if isinstance(data, Image.Image):
        return data
    array = np.asarray(data)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"not an image: {array.dtype} {list(array.shape)}; pass uint8 [H, W], [H, W, 3] or [H, W, 4]")
    return Image.fromarray(array)


def opaque(image: "Image") -> "Image":
    """RGB with 8 bits; transparent parts become white."""
    import numpy as np
    from PIL import Image

    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):  # Pillow would clip everything brighter than 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (*PAPER, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def thumbnail(data: Any, side: int) -> tuple[str, int, int]:
    """A small JPEG of an image as a ``data:`` URI, with its width and height in pixels.

    Args:
        data: as ``write_image`` takes it.
        side: the longer side, in pixels, at most.
    """
    image = as_image(data)
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=2.0)
    sink = io.BytesIO()
    opaque(small).save(sink, "JPEG", quality=THUMBNAIL_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}", small.width, small.height


def _register() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
