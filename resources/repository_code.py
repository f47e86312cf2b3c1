"""Python code that the repository of a model ships: only what a declaration pins by its hash is there to be run.

Belongs here: a folder of the files of a model in which no other code lies, and the refusal of what would bring other code. Does
not belong here: loading the model (``resources.models``, ``resources.vlm``).

The library transformers imports what ``auto_map`` of a configuration names, and what that imports relatively, from the folder
that it is given, or from another repository where ``auto_map`` says so. What runs is code like any other: nothing contains it.
"""

import ast
import atexit
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from resources.errors import ArotError
from resources.processes import Owner
from resources.scratch import WorkingFolder

SUFFIX = ".py"
PREFIX = "arot_code_"
"""How the folders' names begin: they are names of Python packages."""


class RepositoryCodeError(ArotError):
    """Code of a repository that is not run; the message names the file, the cause and the remedy."""


def with_pinned_code(folder: Path, files: Iterable[str], code: Mapping[str, str]) -> Path:
    """A new folder of this process alone, with files of a model and those of its code that are pinned.

    A new folder each time: transformers copies code into a cache of its own under the folder's name, and trusts what lies there.

    Args:
        folder: has all of the files.
        files: paths below it, without code.
        code: path of each Python file -> SHA-256, 64 hex digits.

    Raises:
        RepositoryCodeError: a file of code differs from its hash, is not Python, or imports one that is not pinned; a class is in
            a file that is not pinned, or in another repository.
    """
    _remove_copies()
    working = WorkingFolder(f"{PREFIX}{Owner.me()}")
    place = working.path.resolve()
    try:
        for path in files:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).symlink_to((folder / path).resolve())
        for path, wanted in code.items():
            text = (folder / path).read_bytes()
            found = hashlib.sha256(text).hexdigest()
            if found != wanted:
                raise RepositoryCodeError(f"its code {path} has SHA-256 {found}, and {wanted} is pinned; it is not run")
            _own_imports(path, text, code)
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(text)
        _own_classes(place, code)
    except BaseException:
        working.remove()
        raise
    atexit.register(_forget, place.name)
    return place


def _own_classes(folder: Path, code: Mapping[str, str]) -> None:
    for file, named in _classes(folder.glob("*.json")):
        repo, apart, rest = named.rpartition("--")
        if apart:
            raise RepositoryCodeError(
                f"{file} takes {rest} from another repository, {repo}, whose code is not pinned; it is not run: use a repository "
                "that has its code itself"
            )
        module = rest.partition(".")[0] + SUFFIX
        if module not in code:
            raise RepositoryCodeError(
                f"{file} takes {rest} from {module}, which is not among `files`, so its code is not pinned; name it there with "
                "its SHA-256"
            )


def _classes(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """The name of a configuration, and a class that it takes from code: ``module.Class``, ``owner/name--module.Class``."""
    for file in files:
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # transformers reads it, and says what is wrong
        for found in _auto_maps(said):
            for one in found.values():
                yield from ((file.name, name) for name in (one if isinstance(one, list) else [one]) if name)


def _auto_maps(said: Any) -> Iterator[dict[str, Any]]:
    """Every ``auto_map`` of a configuration, and of those in it."""
    if isinstance(said, dict):
        if isinstance(said.get("auto_map"), dict):
            yield said["auto_map"]
        for one in said.values():
            yield from _auto_maps(one)


def _own_imports(path: str, text: bytes, code: Mapping[str, str]) -> None:
    """Refuse a relative import of what is not pinned."""
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError) as error:
        raise RepositoryCodeError(f"its code {path} is no Python: {error}") from error
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        modules = [node.module.replace(".", "/")] if node.module else [name.name for name in node.names]
        for module in modules:
            wanted = (PurePosixPath(path).parent / f"{module}{SUFFIX}").as_posix()
            if node.level > 1 or wanted not in code:
                raise RepositoryCodeError(
                    f"its code {path} imports {'.' * node.level}{node.module or module} (line {node.lineno}), which is not among "
                    f"`files`, so that code is not pinned; name {wanted} there with its SHA-256"
                )


def _forget(name: str) -> None:
    """Remove the copy that transformers made of a folder's code."""
    shutil.rmtree(_copies() / name, ignore_errors=True)


def _remove_copies() -> None:
    """Remove those of processes that were killed."""
    for copy in _copies().glob(f"{PREFIX}*"):
        owner = Owner.named_in(copy.name)
        if owner is not None and owner.is_gone:
            shutil.rmtree(copy, ignore_errors=True)


def _copies() -> Path:
    """Where transformers copies code to that it runs."""
    from transformers.utils.hub import HF_MODULES_CACHE

    return Path(HF_MODULES_CACHE) / "transformers_modules"
