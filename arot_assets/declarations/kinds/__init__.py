"""The kinds of declarations: a file each, which holds all that is particular to it as ``KIND``.

A new kind is a new file here; nothing lists them.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pydantic import BaseModel

from arot_assets.declarations.kind import Kind


@cache
def kinds() -> Mapping[str, Kind[Any]]:
    """Every kind, by its ``type``."""
    found = (import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__))
    return {kind.type: kind for kind in found}


def kind_of(model: type[BaseModel]) -> Kind[Any]:
    """The kind of a class of declarations; for a class that several kinds have in common, the first of them.

    Raises:
        TypeError: it is not a class of declarations.
    """
    own = [kind for kind in kinds().values() if kind.model is model]
    if found := own or [kind for kind in kinds().values() if issubclass(kind.model, model)]:
        return found[0]
    raise TypeError(
        f"{model.__name__} is not a kind of declaration; a file of arot_assets.declarations.kinds makes it one"
    )
