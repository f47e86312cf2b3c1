"""Which media there are, by name."""

from collections.abc import Mapping

from arot_assets.media.image.medium import IMAGE
from arot_assets.media.medium import Medium

FIRST = IMAGE.name
"""The medium of datasets whose inventory names none: it was written when there was no other."""
MEDIA: Mapping[str, Medium] = {medium.name: medium for medium in (IMAGE,)}
"""A store names the medium of a dataset so."""
