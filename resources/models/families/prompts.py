"""The ``prompts`` family: zero-shot labels, by the cosine of a stored image embedding and of texts. It sees no pixels.

Belongs here: an entry of prompts as a network. Does not belong here: averaging texts (``resources.models.prompts``), the text
tower (``clip.py``).

``takes`` is the column of embeddings, ``clip_l14.vector``; weights, licence and size are those of that entry unless said.
``options``: ``prompts``: label -> a text or several; ``templates``: texts with ``{}`` where a prompt goes; ``scale`` (100) and
``bias`` (0) of the cosine. Array: ``logits``, a number for each label.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.models.entry import ModelEntry, ModelError
from resources.models.families import clip
from resources.models.heads import Heads
from resources.models.network import Network, Outputs, Placement
from resources.models.prompts import embedded, head_of, prompts_of

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = clip.FILES


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``: the prompts alone, whose input is the vector."""
    texts, tower = prompts_of(entry), clip.load(entry, folder, place)
    if tower.encode_text is None:
        raise ModelError(f"model '{entry.name}': the weights of {entry.takes} have no text tower")
    head = head_of(entry, embedded(texts, tower.encode_text))
    heads = Heads({entry.name: head}, place.device, "float32", place.threads)

    def no_pixels(_: Any) -> Any:
        raise ModelError(f"model '{entry.name}' compares texts with {entry.takes}: it sees no image")

    return Network(
        prepare=no_pixels,
        predict=lambda vectors: {"logits": heads.predict(vectors)[entry.name]},
        input_shape=(head.dimensions,),
        bytes=sum(layer.weight.nbytes for layer in head.layers),
    )


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """Prompts have no pipeline for images."""
    raise ModelError(
        f"model '{entry.name}' compares texts with {entry.takes}: it sees no image, and {folder} has no pipeline for one"
    )
