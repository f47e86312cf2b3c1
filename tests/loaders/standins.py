"""Stand-ins for what a trainer imports and a test of its loader needs not: GPU libraries, models, user interfaces.

Belongs here: making a trainer's modules importable. Does not belong here: any trainer's loading (``load_*.py``). A package that is
installed, or lies in ``AROT_TRAINERS/packages``, is the real one.
"""

import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


class _Module(ModuleType):
    """A module all of whose names exist."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        made = (
            type(name, (), {"__init__": lambda self, *a, **k: None, "__class_getitem__": classmethod(lambda c, _: c)})
            if name[:1].isupper()
            else MagicMock(name=name)
        )
        setattr(self, name, made)
        return made


class _Finder:
    """Finds stand-ins for the packages that it is given, and everything below them."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        parts = name.split(".")
        if not any(".".join(parts[:n]) in self.packages for n in range(1, len(parts) + 1)):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        made = _Module(spec.name)
        made.__path__ = []
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: every name is made when it is asked for."""


def use_checkout(folder: Path, *absent: str) -> None:
    """Import from a checkout, with stand-ins for those of some packages that are not installed.

    Args:
        folder: the checkout.
        absent: packages, or modules, that may be stood in for.
    """
    sys.path[:0] = [str(folder), str(folder.parent / "packages")]
    missing = [name for name in absent if "." in name or importlib.util.find_spec(name) is None]
    sys.meta_path.insert(0, _Finder(missing))  # type: ignore[arg-type]


def told(found: list[list[Any]]) -> None:
    """Print what a loader found, for the test that started it."""
    print("RESULT " + json.dumps(found))
