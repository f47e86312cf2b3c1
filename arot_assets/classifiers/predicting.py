"""What a stored model says of samples that are at hand for training: for comparing it with another one.

Belongs here: from an entry to logits. Does not belong here: scoring a dataset, which the ordinary pass does.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.data import Data
from resources.errors import ArotError
from resources.models import Models
from resources.models.entry import ModelEntry, ModelError

BATCH = 16


class PredictionError(ArotError):
    """What the model needs is not at hand; the message says what."""


def predict(entry: ModelEntry, data: Data, rows: NDArray[np.int64], models: Models) -> NDArray[np.float32]:
    """``float32 [len(rows), …]``: the model's logits.

    Raises:
        PredictionError: its vectors are of another table or version, or its files are gone.
    """
    try:
        if entry.takes != "image":
            return _of_vectors(entry, data, rows, models)
        if data.pictures is None:
            raise PredictionError("it sees images, and the new one stored embeddings")
        runner = models.load(entry)
        parts: list[Any] = []
        for start in range(0, len(rows), BATCH):
            inputs = [runner.prepare(data.pictures(int(row))) for row in rows[start : start + BATCH]]
            parts.append(runner.predict(inputs)["logits"])
        return np.concatenate(parts)
    except ModelError as error:
        raise PredictionError(str(error)) from error


def _of_vectors(entry: ModelEntry, data: Data, rows: NDArray[np.int64], models: Models) -> NDArray[np.float32]:
    from resources.models.families.head import read_head
    from resources.models.heads import Heads

    vectors = data.job.vectors.get(entry.takes)
    version = data.versions.get(entry.takes.split(".")[0])
    if vectors is None:
        raise PredictionError(f"it is computed from {entry.takes}, which the new one does not use")
    if entry.options.get("trained_on") not in (None, version):
        raise PredictionError(
            f"it was trained on version {entry.options['trained_on']} of {entry.takes}, which is of version {version} now"
        )
    head = read_head(entry, models.files.verified(entry))
    return Heads({"head": head}).predict(vectors[rows])["head"]
