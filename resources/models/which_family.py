"""Which family loads an entry, and with which engine: a family is a module of ``families/``, found by its name.

Belongs here: finding it. Does not belong here: what a family provides (``network.Family``).
"""

import importlib
import pkgutil
from typing import Any, cast

from resources.models import families
from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Engine, Family


def known_families() -> list[str]:
    """The names of all families; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(families.__path__))


def family_of(entry: ModelEntry) -> Family:
    """The module of an entry's family.

    Raises:
        ModelError: there is none of that name.
    """
    if entry.family not in known_families():
        raise ModelError(
            f"model '{entry.name}': no family '{entry.family}'; there are: {', '.join(known_families())}. A new one is a file "
            "in resources/models/families"
        )
    family: Family = cast(Any, importlib.import_module(f"{families.__name__}.{entry.family}"))
    return family


def engine_of(entry: ModelEntry, asked: Engine, device: str = "") -> str:
    """The engine that runs an entry on a device: the one asked for if its family has it; else, on a CPU, the one that the entry
    names, which gives the same numbers; else the family's first.
    """
    has = family_of(entry).ENGINES
    if asked == "auto" and device == "cpu" and entry.cpu_engine in has:
        return entry.cpu_engine
    return asked if asked in has else has[0]
