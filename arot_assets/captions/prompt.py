"""Prompts: Jinja files, versioned by their content, that may read what the tables know of a sample.

Belongs here: reading a prompt, which tables it reads, and rendering it for a sample. Does not belong here: where the values come
from (``context.py``).

A prompt says ``{{ sample.caption }}`` for a column of the samples, and ``{{ cv2.brightness }}`` for one of a metric table or of
another captioner. A column that is null renders as nothing; one that does not exist is an error before anything is asked.
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from jinja2.sandbox import SandboxedEnvironment

from arot_assets.errors import ProjectError

SAMPLE = "sample"
"""The name under which a prompt reads the columns of ``samples``."""


class PromptError(ProjectError):
    """A prompt that cannot be used; the message names the file, the line and the cause."""


@dataclass(frozen=True)
class Prompt:
    """A prompt.

    Attributes:
        path: its file.
        text: the template.
    """

    path: Path
    text: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What it reads: ``sample``, and names of tables; sorted.

        Raises:
            PromptError: it is no template.
        """
        try:
            return tuple(sorted(jinja2.meta.find_undeclared_variables(_ENVIRONMENT.parse(self.text))))
        except jinja2.TemplateSyntaxError as error:
            raise PromptError(f"{self.path}:{error.lineno}: {error.message}") from error

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it reads besides the samples."""
        return tuple(name for name in self.names if name != SAMPLE)

    @cached_property
    def _template(self) -> jinja2.Template:
        return _ENVIRONMENT.from_string(self.text)

    def render(self, values: Mapping[str, Mapping[str, Any]]) -> str:
        """The text for one sample.

        Args:
            values: ``sample`` and each table -> column -> value.

        Raises:
            PromptError: it reads a column that does not exist, or does something impossible with one.
        """
        given = {name: _TemplateRow(name, row) for name, row in values.items()}
        try:
            return self._template.render(given).strip()
        except Exception as error:  # a template may call anything that its values offer
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<template>"]
            place = f"{self.path}:{lines[-1]}" if lines else str(self.path)
            raise PromptError(f"{place}: {error}") from error


class _TemplateRow:
    """A row as a template reads it: null is nothing, and an unknown column is an error that names those there are."""

    def __init__(self, table: str, row: Mapping[str, Any]) -> None:
        self._table, self._row = table, row

    def __getitem__(self, name: str) -> Any:
        if name not in self._row:
            raise KeyError(f"{self._table} has no column '{name}'; it has {', '.join(self._row)}")
        return self._row[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._row:
            raise jinja2.UndefinedError(f"{self._table} has no column '{name}'; it has {', '.join(self._row)}")
        return self._row[name]


_ENVIRONMENT = SandboxedEnvironment(
    undefined=jinja2.StrictUndefined, finalize=lambda value: "" if value is None else value, keep_trailing_newline=False
)


def read_prompt(path: Path) -> Prompt:
    """Read a prompt, and check that it is a template.

    Raises:
        PromptError: there is no such file, it is not UTF-8, empty, or no template.
    """
    try:
        prompt = Prompt(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PromptError(f"{path}: the prompt cannot be read: {error.strerror}; correct `prompt`") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{path}: the prompt is not UTF-8; save it as UTF-8") from error
    if not prompt.text.strip():
        raise PromptError(f"{path}: the prompt is empty")
    _ = prompt.names
    return prompt
