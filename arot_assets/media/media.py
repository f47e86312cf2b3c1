"""The available media, by name."""

from collections.abc import Mapping

from arot_assets.media.image.medium import IMAGE
from arot_assets.media.medium import Medium
from arot_assets.media.video.medium import VIDEO

FIRST = IMAGE.name
"""The medium of datasets whose inventory names none: it was written before there were others."""
MEDIA: Mapping[str, Medium] = {medium.name: medium for medium in (IMAGE, VIDEO)}
"""The name of a dataset's medium in the store."""
