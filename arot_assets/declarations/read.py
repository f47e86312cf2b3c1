"""A parsed defs.yaml -> a declaration with valid fields, or an error with its line.

Belongs here: the form of a declaration. Does not belong here: YAML (``yaml_lines.py``), comparing declarations with each
other (``declared.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kinds import kinds
from arot_assets.errors import did_you_mean
from arot_assets.yaml_lines import Where, YamlFile
from resources.errors import quotes_hint
from resources.storage.http.rules import redacted


def read_declaration(file: YamlFile) -> BaseModel:
    """The declaration in a parsed file.

    Raises:
        DeclarationError: with the line of the faulty key or value.
    """
    value = file.value
    if not isinstance(value, dict) or "type" not in value:
        raise error_at(file, (), "a declaration needs the keys 'type' and 'attributes'")
    kind = kinds().get(str(value["type"]))
    if kind is None:
        hint = did_you_mean(str(value["type"]), kinds())
        raise error_at(file, ("type",), f"unknown type '{value['type']}'.{hint}")
    for key in value:
        if key not in ("type", "attributes"):
            raise error_at(file, (key,), f"unknown key '{key}'; a declaration has 'type' and 'attributes'")
    try:
        model: type[BaseModel] = kind.model
        return model.model_validate(value.get("attributes") or {})
    except ValidationError as error:
        found = error.errors()
        # a misspelt key is missing too; reporting the misspelling is more helpful
        first: Mapping[str, Any] = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        where: Where = ("attributes", *first["loc"])
        key = str(first["loc"][-1]) if first["loc"] else "attributes"
        if first["type"] == "extra_forbidden":
            raise error_at(
                file,
                where,
                f"unknown key '{key}'.{did_you_mean(key, _model_at(kind.model, first['loc']).model_fields)}",
            ) from error
        if first["type"] == "missing":
            description = _model_at(kind.model, first["loc"]).model_fields[key].description
            raise error_at(file, where[:-1], f"'{key}' is missing: {description}") from error
        text = str(first["msg"]).removeprefix("Value error, ")
        raise error_at(
            file,
            where,
            f"'{'.'.join(str(x) for x in first['loc'])}': {text} (got {shown(first['input'])}){quotes_hint(first)}",
        ) from error


def name_in(file: YamlFile) -> str:
    """The name in a faulty declaration, otherwise that of its folder."""
    return _name(file) or file.path.parent.name


def is_named(file: YamlFile) -> bool:
    """Whether a faulty declaration tells its name."""
    return bool(_name(file))


def _name(file: YamlFile) -> str:
    attributes = file.value.get("attributes") if isinstance(file.value, dict) else None
    name = attributes.get("name") if isinstance(attributes, dict) else None
    return name if isinstance(name, str) else ""


def shown(value: object) -> str:
    """A value as it may be shown in an error: URLs without passwords and signatures."""
    return repr(redacted(value) if isinstance(value, str) and "://" in value else value)


def _model_at(model: type[BaseModel], where: Sequence[str | int]) -> type[BaseModel]:
    """What may be at a place in a declaration; the last part of the place is a key of it."""
    for part in where[:-1]:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        model = next(a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel))
    return model
