"""Importing a Python file that a user edits: a metric or an asset of a project.

Belongs here: making a module of a file that belongs to no package. Does not belong here: which files those are, and what is
looked for in them (``metrics.registry``, ``own_assets``).
"""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType


class _AsWritten(SourceFileLoader):
    """Always compiles the file: bytecode of before is valid for an edit of the same second and size, and lies in the project."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(name: str, path: Path) -> ModuleType:
    """Import a file as it is now.

    Args:
        name: the module's full name, which no other has.
        path: the file.

    Raises:
        BaseException: whatever its code raises; then there is no such module.
    """
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsWritten(name, str(path)))
    assert spec is not None and spec.loader is not None, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import would: functions find their module, and what it defines can be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
