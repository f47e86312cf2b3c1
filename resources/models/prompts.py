"""Zero-shot prompts: texts as a head over stored embeddings of their own space.

Belongs here: the prompts of an entry, their text embeddings, computed once and kept. Does not belong here: the text tower
(``families/clip.py``), the arithmetic of heads (``heads.py``), texts that differ from row to row (``arot_assets.metrics``).

A label has one prompt or several; each is put into every template. The embeddings of all of them are normalised, averaged and
normalised again, as in the evaluation of CLIP. The number of a label is ``scale`` times the cosine, plus ``bias``.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resources.beside import folder_beside
from resources.models.entry import ModelEntry, ModelError
from resources.models.heads import Head, Layer
from resources.models.outputs import Ordinal, Probabilities

SCALE = 100.0
"""Of CLIP's logits (it learned 100, the largest that it may); SigLIP has others, and a bias."""
_OPTIONS = ("prompts", "templates", "scale", "bias", "text", "pretrained")
Encode: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> ``float32 [N, D]``."""


def prompt_head(entry: ModelEntry, kept: Path, encode: Encode) -> Head:
    """The prompts of an entry as a head.

    Args:
        entry: with prompts.
        kept: the file of their embeddings, written where it is not there: a text tower is asked once. Its name changes with
            whatever they depend on.
        encode: of the text tower, called where the file is not there.

    Raises:
        ModelError: the entry's prompts are wrong, or the model of its embeddings has no text tower or cannot be loaded.
    """
    texts = prompts_of(entry)
    if kept.is_file():
        weight = np.load(kept)
    else:
        weight = embedded(texts, encode)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(kept.parent) as beside:
            np.save(beside / "weight.npy", weight)
            (beside / "weight.npy").replace(kept)
    return head_of(entry, weight)


def head_of(entry: ModelEntry, weight: NDArray[np.float32]) -> Head:
    """Text embeddings ``[labels, D]`` as a head over vectors, which are normalised first."""
    scale, bias = float(entry.options.get("scale", SCALE)), float(entry.options.get("bias", 0.0))
    return Head((Layer(weight * np.float32(scale), np.full(len(weight), bias, np.float32)),), normalise=True)


def tower_of(entry: ModelEntry) -> str:
    """The entry whose text tower is asked: the one that makes the embeddings."""
    return entry.takes.partition(".")[0]


def prompts_of(entry: ModelEntry) -> list[list[str]]:
    """The texts of each label, in the order of the labels of its outputs: every prompt in every template.

    Raises:
        ModelError: its labels are not those of its outputs, a template has no place for a prompt, or an option is not known.
    """
    said: Mapping[str, Any] = entry.options
    unknown = sorted(set(said) - set(_OPTIONS))
    if unknown:
        raise ModelError(f"model '{entry.name}': options {unknown}; prompts have: {', '.join(_OPTIONS)}")
    prompts, templates = said.get("prompts"), list(said.get("templates", ["{}"]))
    if not isinstance(prompts, Mapping) or not prompts:
        raise ModelError(
            f"model '{entry.name}': options.prompts names no label; say for instance `prompts: {{day: [by day, in the sun], "
            "night: [at night]}`"
        )
    labels = next((o.labels for o in entry.outputs if isinstance(o, Probabilities | Ordinal)), ())
    if sorted(labels) != sorted(map(str, prompts)):
        raise ModelError(
            f"model '{entry.name}': options.prompts are of {sorted(map(str, prompts))}, and the labels of its outputs of kind "
            f"probabilities or ordinal are {sorted(labels)}; they must be the same"
        )
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong:
        raise ModelError(f"model '{entry.name}': the template {wrong[0]!r} needs {{}} once, where the prompt goes")
    lists = [[prompts[label]] if isinstance(prompts[label], str) else list(prompts[label]) for label in labels]
    return [[template.replace("{}", str(one)) for one in of_label for template in templates] for of_label in lists]


def embedded(texts: Sequence[Sequence[str]], encode: Encode) -> NDArray[np.float32]:
    """The mean direction of each label's texts, ``float32 [labels, D]`` of length 1."""
    found = unit(encode([text for of_label in texts for text in of_label]))
    means, start = [], 0
    for of_label in texts:
        means.append(found[start : start + len(of_label)].mean(0))
        start += len(of_label)
    return unit(np.stack(means))


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """``[N, D]`` -> ``float32 [N, D]`` of length 1; a vector of zeros stays one."""
    wide = vectors.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12), np.float32)
