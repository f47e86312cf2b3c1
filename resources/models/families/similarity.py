"""The ``similarity`` family: how well each row's own text fits its image, by the cosine of both embeddings. It sees no pixels.

Belongs here: the text tower of such an entry. Does not belong here: the rows (``arot_assets.metrics.text_rows``).

``takes`` is the column of image embeddings, ``clip_l14.vector``; ``options.text`` the column of texts, ``samples.caption``
unless said. Weights, licence and size are those of the embedding's entry unless said. Texts that are longer than the tower
reads are cut. Array: ``similarity``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from resources.models.entry import ModelEntry, ModelError
from resources.models.families import clip
from resources.models.network import Network, Outputs, Placement

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = clip.FILES


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``: both towers, of which the one for text is used."""
    return clip.load(entry, folder, place)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """A pair of image and text is needed, and a pipeline for images alone has none."""
    raise ModelError(
        f"model '{entry.name}' compares the text of a row with {entry.takes}; {folder} has no pipeline for images"
    )
