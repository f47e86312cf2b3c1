"""Comparing a model with its reference: the model card's own pipeline over the same weights.

Belongs here: running both over images, and the largest difference. Does not belong here: the pipelines (``Family.reference``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.which_family import family_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from resources.models.models import Models


@dataclass(frozen=True)
class Deviation:
    """How far an array is from its reference.

    Attributes:
        array: its name.
        largest: absolute, over all images.
        spread: between the largest and the smallest number of the reference.
        batch: between an image alone and the same in a batch, absolute.
        worst: the image with the largest difference.
        tolerance: see ``ModelEntry.tolerance``.
    """

    array: str
    largest: float
    spread: float
    batch: float
    worst: str
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether both differences are within the tolerance."""
        return max(self.largest, self.batch) <= self.tolerance * max(self.spread, 1e-6)


def compare(
    models: "Models", name: str, images: "Iterable[tuple[str, Image | NDArray[np.float32]]]"
) -> list[Deviation]:
    """The differences of each array of a model's outputs.

    Args:
        models: the resource: its engine, device and precision are what is compared.
        name: of the model.
        images: name and upright RGB; of a model of sound name and ``float32 [n]`` at its rate.

    Raises:
        ModelError: the model or its reference cannot be loaded.
    """
    runner = models.get(name)
    reference = family_of(runner.entry).reference(runner.entry, models.files.verified(runner.entry))
    named = list(images)
    inputs = [runner.prepare(np.asarray(picture)) for _, picture in named]
    together = runner.predict(inputs)
    alone = [runner.predict([one]) for one in inputs]
    wanted = [reference(picture) for _, picture in named]
    found = []
    for array in dict.fromkeys(output.of for output in runner.entry.outputs):
        theirs = [_numbers(one[array][0]) for one in wanted]
        distances = [_distance(_numbers(ours[array][0]), b) for ours, b in zip(alone, theirs, strict=True)]
        batches = [
            _distance(_numbers(ours[array][0]), _numbers(b)) for ours, b in zip(alone, together[array], strict=True)
        ]
        numbers = np.concatenate([b.reshape(-1) for b in theirs])
        spread = float(np.ptp(numbers)) if numbers.size else 1.0
        worst = named[int(np.argmax(distances))][0]
        found.append(Deviation(array, max(distances), spread, max(batches), worst, runner.entry.tolerance))
    return found


def _numbers(value: Any) -> NDArray[np.float64]:
    """An array as it is; of found boxes and lines all numbers, in a fixed order, so that equal scores are no matter."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64)
    rows = sorted([part for part in row if not isinstance(part, str)] for row in value)
    return np.asarray(rows, np.float64)


def _distance(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """The largest difference; infinite where other things were found."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours - theirs).max()) if ours.size else 0.0
