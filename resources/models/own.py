"""Models of a project: a YAML file an entry in its folder ``models/``, found without editing this package.

Belongs here: finding the files, and reading one into an entry. Does not belong here: what an entry is (``entry.py``), and the
entries that come with the package (``catalogue.py``). A file is named after its entry, so the names are known without reading.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from resources.models.entry import ModelEntry, ModelError
from resources.root import REPOSITORY, NoProjectError, project_root

TYPE = "arot_assets.components.Model"
"""The type that a file of an entry names, as declarations do."""
FOLDER = "models"
_ENTRY: TypeAdapter[ModelEntry] = TypeAdapter(ModelEntry)


def own_files() -> dict[str, Path]:
    """Name -> file of the project's own models; none in this repository, whose models are the catalogue."""
    try:
        root = project_root()
    except NoProjectError:
        return {}
    return {} if root == REPOSITORY else {path.stem: path for path in sorted((root / FOLDER).glob("*.yaml"))}


def read_entry(file: Path) -> ModelEntry:
    """The entry that a file declares.

    Raises:
        ModelError: it is no YAML of an entry; the message names the file, the field and the cause.
    """
    return _read(file, file.stat().st_mtime_ns)


@lru_cache
def _read(file: Path, _changed: int) -> ModelEntry:
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict) or said.get("type") != TYPE or not isinstance(said.get("attributes"), dict):
        raise ModelError(f"{file}: a model begins with `type: {TYPE}`, and its fields are below `attributes:`")
    fields: dict[str, Any] = {"name": file.stem, **said["attributes"]}
    if fields["name"] != file.stem:
        raise ModelError(f"{file}: declares '{fields['name']}'; a file is named after its model: {fields['name']}.yaml")
    try:
        return _ENTRY.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{file}: attributes.{where}: {first['msg']}") from error
