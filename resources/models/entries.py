"""Which models there are: a YAML file an entry, those of ``catalogue/`` and those of the project's own folder ``models/``; and
those that a store keeps, which whoever keeps them adds.

Belongs here: finding the files, and reading one into an entry; both kinds have one format and one reader. Does not belong here:
what an entry is (``entry.py``). A file is named after its entry, so the names are known without reading.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from resources.errors import quotes_hint
from resources.models.entry import ModelEntry, ModelError
from resources.root import NoProjectError, project_root

TYPE = "arot_assets.components.Model"
"""The type that a file of an entry names, as declarations do."""
FOLDER = "models"
CATALOGUE = Path(__file__).with_name("catalogue")
_added: dict[str, ModelEntry] = {}
OF_A_TOWER = ("prompts", "similarity")
"""Families whose weights are those of the model that makes the embeddings which they take."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def own_files() -> dict[str, Path]:
    """Name -> file of the project's own models; none where there is no project."""
    try:
        return _files(project_root() / FOLDER)
    except NoProjectError:
        return {}


def model_files() -> dict[str, Path]:
    """Name -> file of every model; a project's own takes precedence over one of the catalogue. Reads no file."""
    return {**_files(CATALOGUE), **own_files()}


def known_models() -> list[str]:
    """The names of all models, sorted; reads no file."""
    return sorted(model_files())


def add_entry(entry: ModelEntry) -> None:
    """Let this process know an entry that is in no file here: a model whose entry is kept in a store.

    An entry in a file takes precedence, and a later one of the same name replaces it.
    """
    _added[entry.name] = entry


def all_entries() -> tuple[list[ModelEntry], list[ModelError]]:
    """Every entry that can be read or was added, by name; and what is wrong with the files of the others."""
    entries: list[ModelEntry] = []
    errors: list[ModelError] = []
    for name in sorted({*known_models(), *_added}):
        try:
            entries.append(find_entry(name))
        except ModelError as error:
            errors.append(error)
    return entries, errors


def find_entry(name: str) -> ModelEntry:
    """The entry called ``name``.

    Raises:
        ModelError: unknown name, the message lists the known ones; or its file cannot be read.
    """
    file = model_files().get(name)
    if file is None and name in _added:
        return _added[name]
    if file is None:
        raise ModelError(f"model {name!r} is not in the catalogue; known models: {', '.join(known_models())}")
    return read_entry(file)


def read_entry(file: Path) -> ModelEntry:
    """The entry that a file declares.

    Raises:
        ModelError: it is no YAML of an entry; the message names the file, the field and the cause.
    """
    changed = file.stat().st_mtime_ns
    tower = _file_of_tower(_fields(file, changed))
    return _read(file, changed, tower, tower.stat().st_mtime_ns if tower else 0)


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@lru_cache
def _fields(file: Path, _changed: int) -> dict[str, Any]:
    try:
        said = yaml.load(file.read_text(encoding="utf-8"), _LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        cause = error.problem or error.context
        raise ModelError(f"{file}{line}: not valid YAML: {cause}; check indentation, colons and quotes") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict) or said.get("type") != TYPE or not isinstance(said.get("attributes"), dict):
        raise ModelError(f"{file}: a model begins with `type: {TYPE}`, and its fields are below `attributes:`")
    fields: dict[str, Any] = {"name": file.stem, **said["attributes"]}
    if fields["name"] != file.stem:
        raise ModelError(f"{file}: declares '{fields['name']}'; a file is named after its model: {fields['name']}.yaml")
    return fields


@lru_cache
def _read(file: Path, changed: int, tower: Path | None, _tower_changed: int) -> ModelEntry:
    fields = _fields(file, changed)
    return entry_of(fields if tower is None else _with_weights_of(read_entry(tower), fields), str(file))


def _file_of_tower(fields: Mapping[str, Any]) -> Path | None:
    """The entry of the embeddings that an entry compares texts with, of which it need not say again what is the same."""
    if fields.get("family") not in OF_A_TOWER:
        return None
    file = model_files().get(str(fields.get("takes", "")).partition(".")[0])
    return file if file is None or file.stem != fields["name"] else None


def _with_weights_of(tower: ModelEntry, fields: dict[str, Any]) -> dict[str, Any]:
    same = ("weights", "licence", "parameters", "reference", "commercial", "gated", "trust_remote_code")
    said = {name: getattr(tower, name) for name in same}
    options = {**tower.options, **fields.get("options", {})}
    return {**said, "id": tower.public_name, **fields, "options": options}


def entry_of(fields: Mapping[str, Any], where: str) -> ModelEntry:
    """An entry from its fields.

    Args:
        fields: as below ``attributes:``, with ``name``.
        where: the file, for errors.

    Raises:
        ModelError: a field is missing, unknown or not what it should be.
    """
    try:
        return _adapter().validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{where}: attributes.{place}: {first['msg']}{quotes_hint(first)}") from error


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[ModelEntry]:
    return TypeAdapter(ModelEntry)
