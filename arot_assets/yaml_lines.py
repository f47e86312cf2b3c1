"""YAML that remembers its line numbers, so that an error can point at the line to change.

Belongs here: reading a YAML file to plain Python values, and the line of each of them.
Does not belong here: what the keys mean (``schema_file.py``, ``project.py``).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from arot_assets.errors import ProjectError, did_you_mean

MERGE = "tag:yaml.org,2002:merge"
MOST_VALUES = 200_000
"""More than any declaration has; a guard against aliases of aliases."""

Where = tuple[str | int, ...]
"""The path to a value: keys and list positions from the top of the file."""


@dataclass
class YamlFile:
    """A parsed YAML file.

    Attributes:
        path: where it was read.
        value: mappings, lists and scalars; None for an empty file.
        lines: 1-based line of each key or list entry, by its path.
    """

    path: Path
    value: Any = None
    lines: dict[Where, int] = field(default_factory=dict)

    def error(self, where: Where, message: str) -> ProjectError:
        """An error at the line of ``where`` (or of the nearest thing around it)."""
        return ProjectError(message, self.path, self.line(where))

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

    def line(self, where: Where) -> int:
        """The line of ``where``, or of the nearest thing around it."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

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
            ProjectError: it is missing and has no default, or is not text.
        """
        value = mapping.get(key, default)
        if not isinstance(value, str):
            problem = "is missing" if value is None else f"must be text, not {value!r}"
            raise self.error((*where, key), f"'{key}' {problem}")
        return value


def rendered(value: Any, where: Where, render: Callable[[str, Where], Any]) -> Any:
    """A YAML value with ``render`` applied to each of its texts; keys stay as they are.

    Args:
        value: mappings, lists and scalars.
        where: the path to it.
        render: takes a text and its path, returns what it stands for.
    """
    if isinstance(value, dict):
        return {k: rendered(v, (*where, k), render) for k, v in value.items()}
    if isinstance(value, list):
        return [rendered(v, (*where, i), render) for i, v in enumerate(value)]
    return render(value, where) if isinstance(value, str) else value


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML document.

    Merge keys (``<<``) and aliases are followed. Anything that is not YAML, or is YAML for something other than mappings, lists
    and plain scalars, is an error with its line.

    Raises:
        ProjectError: missing, not YAML, a duplicate key, or a value without a plain Python equivalent.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark before it
    except OSError as error:
        raise ProjectError(f"cannot be read: {error.strerror}; check the path", path) from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"not UTF-8 text: {error}; save it as UTF-8", path) from error
    file = YamlFile(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            reader = _Reader(file)
            reader.refuse_keys_given_twice(node)  # before merging: merged keys may be overridden
            file.value = reader.value(node, ())
    except ReaderError as error:
        raise ProjectError(
            f"character {chr(error.character)!r} is not allowed in YAML; delete it, or write it as an escape in double quotes",
            path,
            text.count("\n", 0, error.position) + 1,
        ) from error
    except yaml.MarkedYAMLError as error:
        raise _not_valid(path, error) from error
    except RecursionError as error:
        raise ProjectError("brackets or lists are nested too deeply; flatten them", path, 1) from error
    return file


class _Reader:
    """Turns the nodes of one file into values, and records their lines."""

    def __init__(self, file: YamlFile) -> None:
        self.file = file
        self._constructor = yaml.SafeLoader("")
        self._open: list[yaml.Node] = []
        self._values = 0

    def refuse_keys_given_twice(self, root: yaml.Node) -> None:
        """Look at every mapping as it is written.

        Raises:
            ProjectError: one has a duplicate key, or a key that is not a scalar.
        """
        seen: set[int] = set()
        todo = [root]
        while todo:
            node = todo.pop()
            if id(node) in seen or isinstance(node, yaml.ScalarNode):
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                todo += reversed(node.value)
                continue
            own: set[Any] = set()
            for key_node, _ in node.value:
                key = MERGE if key_node.tag == MERGE else self._key(key_node)
                if key in own:
                    raise self._error(key_node, f"duplicate key '{key_node.value}'; keep one")
                own.add(key)
            todo += [value for _, value in reversed(node.value)]

    def value(self, node: yaml.Node, where: Where) -> Any:
        """The plain value of a node.

        Raises:
            ProjectError: there is none, or it contains itself.
        """
        line = node.start_mark.line + 1
        self.file.lines.setdefault(where, line)
        self._values += 1
        if self._values > MOST_VALUES:  # aliases of aliases grow a file of a few lines without bound
            raise self._error(node, f"more than {MOST_VALUES:,} values, counting aliases; write fewer")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if any(node is outer for outer in self._open):
            raise self._error(node, "an alias (*) is inside the value that it refers to; write the value out")
        if node.tag not in (
            yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
            yaml.resolver.BaseResolver.DEFAULT_SEQUENCE_TAG,
        ):
            raise self._error(node, f"unknown tag '{_shown(node.tag)}'; remove it")
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, where)
            return [self.value(item, (*where, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[Any, Any]:
        self._constructor.flatten_mapping(node)  # merged keys first: the mapping's own keys take precedence
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            self.file.lines[(*where, key)] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, (*where, key))
        return result

    def _key(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a key must be a scalar, not a list or a mapping; text with {{ … }} needs quotes")
        return self._scalar(node)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._constructor.construct_object(node)
        except yaml.constructor.ConstructorError as error:
            if "could not determine a constructor" not in (error.problem or ""):
                raise
            raise self._error(
                node, f"unknown tag '{_shown(node.tag)}'; remove it, or put the value in quotes"
            ) from error
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            # errors that PyYAML passes on from Python: an impossible date, `!!bool maybe`
            raise self._error(
                node, f"{node.value!r} is not a valid {_shown(node.tag)}; put it in quotes if it is text"
            ) from error

    def _error(self, node: yaml.Node, message: str) -> ProjectError:
        return ProjectError(message, self.file.path, node.start_mark.line + 1)


def _not_valid(path: Path, error: yaml.MarkedYAMLError) -> ProjectError:
    mark = error.problem_mark or error.context_mark
    return ProjectError(
        f"not valid YAML: {error.problem or error.context}; check indentation, colons and quotes",
        path,
        mark.line + 1 if mark else None,
    )


def _shown(tag: str) -> str:
    """A tag as users write it: ``!secret``, ``timestamp``."""
    return tag.removeprefix("tag:yaml.org,2002:")
