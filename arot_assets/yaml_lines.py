"""YAML that remembers its lines, so that an error can point at the one to change.

Belongs here: reading a YAML file to plain Python values, and the line of each of them.
Does not belong here: what the keys mean (``schema_file.py``, ``project.py``).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from arot_assets.errors import ProjectError, did_you_mean

Where = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top of the file."""


@dataclass
class YamlFile:
    """A parsed YAML file.

    Attributes:
        path: where it was read.
        value: mappings, lists and scalars; None for an empty file.
        lines: 1-based line of each key or list entry, by its way from the top.
    """

    path: Path
    value: Any = None
    lines: dict[Where, int] = field(default_factory=dict)

    def error(self, where: Where, message: str) -> ProjectError:
        """An error at the line of ``where`` (or of the nearest thing around it)."""
        while where and where not in self.lines:
            where = where[:-1]
        return ProjectError(message, self.path, self.lines.get(where, 1))

    def mapping(self, value: Any, where: Where, known: Collection[str] | None = None) -> dict[str, Any]:
        """``value`` if it is a mapping whose keys are all known, ``{}`` for None.

        Raises:
            ProjectError: it is something else, or has a key that is not in ``known``.
        """
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.error(where, f"'{where[-1] if where else 'the file'}' must be a mapping of keys, not {value!r}")
        for key in value:
            if known is not None and key not in known:
                raise self.error((*where, key), f"unknown key '{key}'.{did_you_mean(str(key), known)}")
        return value

    def sequence(self, value: Any, where: Where) -> list[Any]:
        """``value`` if it is a list, ``[]`` for None.

        Raises:
            ProjectError: it is something else.
        """
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(where, f"'{where[-1]}' must be a list ('- …' lines), not {value!r}")
        return value

    def text(self, mapping: dict[str, Any], key: str, where: Where, default: str | None = None) -> str:
        """The text under ``key``.

        Raises:
            ProjectError: it is missing and has no default, or is no text.
        """
        value = mapping.get(key, default)
        if not isinstance(value, str):
            problem = "is missing" if value is None else f"must be text, not {value!r}"
            raise self.error((*where, key), f"'{key}' {problem}")
        return value


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML document.

    Raises:
        ProjectError: not there, not YAML, or a key given twice.
    """
    file = YamlFile(path)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ProjectError(f"cannot be read: {error.strerror}; check the path", path) from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"is not UTF-8 text: {error}; save it as UTF-8", path) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ProjectError(
            f"not valid YAML: {error.problem or error.context}; check indentation, colons and quotes",
            path,
            mark.line + 1 if mark else None,
        ) from error
    if node is not None:
        file.value = _plain(file, node, ())
    return file


def _plain(file: YamlFile, node: yaml.Node, where: Where) -> Any:
    file.lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = yaml.SafeLoader("").construct_object(key_node)
            if key in result:
                raise ProjectError(f"key '{key}' is given twice; keep one", file.path, key_node.start_mark.line + 1)
            file.lines[(*where, key)] = key_node.start_mark.line + 1
            result[key] = _plain(file, value_node, (*where, key))
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(file, item, (*where, i)) for i, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node)
