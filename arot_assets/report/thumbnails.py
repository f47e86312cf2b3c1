"""Small pictures of samples for pages.

Belongs here: reading and shrinking. Does not belong here: the pages (``page.py``, ``similar.py``).
"""

import io
from typing import TYPE_CHECKING

from arot_assets.media.file import DecodeError
from resources.storage import StorageError

if TYPE_CHECKING:
    from arot_assets.datasets.places import Place
    from arot_assets.report.answers import Example
    from arot_assets.report.page import Thumbnail

SIDE = 128


def thumbnails(place: "Place") -> "Thumbnail":
    """Makes small JPEGs of examples, animated WebPs of those that move,
    read from where they are now; what could not be read, or cannot be shown, has none."""
    from PIL import Image

    def make(example: "Example") -> bytes | None:
        if example.sample_id is None:
            return None
        try:
            file = place.files({example.uri: example.sample_id})(example.uri)
            moving = place.medium.preview(file, SIDE)
            if moving is not None:
                return moving
            poster = place.medium.poster(file, SIDE)
        except (StorageError, DecodeError):
            return None
        buffer = io.BytesIO()
        Image.fromarray(poster).save(buffer, "JPEG", quality=75)
        return buffer.getvalue()

    return make
