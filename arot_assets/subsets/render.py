"""The dbt dialect of Jinja: ref, source, var, config, this, macros and generic tests.

Belongs here: turning a template into SQL, and telling file and line when that fails.
Does not belong here: what the functions answer (``project.py``), and what the SQL means (``predicates.py``).

Known: ``ref``, ``source``, ``var``, ``config``, ``this``, ``{% macro %}`` and ``{% test %}`` blocks, ``{% do %}``. Anything
else that dbt offers (``env_var``, ``run_query``, ``adapter``, ``is_incremental`` …) is an error here: it would make a model
depend on something that no digest sees.
"""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nodes
import jinja2.parser
from jinja2.ext import Extension
from jinja2.sandbox import SandboxedEnvironment

from arot_assets.errors import ProjectError

TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
TEST_PREFIX = "test_"
UNSUPPORTED = (
    "env_var",
    "run_query",
    "adapter",
    "is_incremental",
    "target",
    "execute",
    "graph",
    "statement",
    "doc",
    "return",
    "dbt_utils",
    "log",
    "exceptions",
    "model",
    "modules",
)


class Relation(str):
    """A table's name as it stands in SQL: ``"schema"."identifier"``.

    Attributes:
        schema: the schema's name, unquoted.
        identifier: the table's name, unquoted.
    """

    schema: str
    identifier: str

    def __new__(cls, schema: str, identifier: str) -> "Relation":
        """Quote both names."""
        made = super().__new__(cls, f'"{schema}"."{identifier}"')
        made.schema = schema
        made.identifier = identifier
        return made


class GenericTest(Extension):
    """``{% test name(model, column_name, …) %} … {% endtest %}`` defines the macro ``test_name``, as in dbt."""

    tags = {"test", "data_test"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """Read the block as a macro."""
        token = next(parser.stream)
        macro = jinja2.nodes.Macro(lineno=token.lineno)
        macro.name = TEST_PREFIX + parser.parse_assign_target(name_only=True).name
        parser.parse_signature(macro)
        macro.body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        return macro


class Templates:
    """The templates of a project: one for each model, and the macros they share.

    Args:
        folder: the project folder; errors name files relative to where the caller named it.
        macro_files: files whose ``{% macro %}`` and ``{% test %}`` blocks every template can call.

    Raises:
        ProjectError: a macro file has a syntax error, or two define one name.
    """

    def __init__(self, folder: Path, macro_files: Sequence[Path]) -> None:
        self.folder = folder
        self._files: dict[str, str] = {}
        self._origins: dict[str, list[int]] = {}
        self.environment = SandboxedEnvironment(
            loader=jinja2.FunctionLoader(self._load),
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.do", GenericTest],
            keep_trailing_newline=True,
        )
        self.macros: dict[str, Path] = {}
        for path in macro_files:
            self._define_macros(path)

    def render(self, path: Path, text: str, functions: Mapping[str, Any]) -> str:
        """Fill in a template.

        Args:
            path: the file that ``text`` comes from, for errors.
            text: the template.
            functions: what the template may call or read, by name.

        Raises:
            ProjectError: a syntax error, an unknown name, or a function that failed; with file and line.
        """
        name = self._register(path, text)
        return self._guarded(path, lambda: self.environment.get_template(name).render(self._context(functions)))

    def render_test(
        self, test: str, path: Path, line: int, arguments: Mapping[str, Any], functions: Mapping[str, Any]
    ) -> str:
        """The SQL of a generic test: the rows that fail it.

        Args:
            test: its name, without the ``test_`` prefix.
            path: the schema file that asks for it.
            line: the line there.
            arguments: model, column_name and the test's own.
            functions: as for ``render``.

        Raises:
            ProjectError: it does not take these arguments, or fails.
        """
        context = self._context(functions)
        try:
            return str(self._guarded(path, lambda: context[TEST_PREFIX + test](**arguments)))
        except TypeError as error:
            raise ProjectError(
                f"test '{test}': {error}; see its arguments in {self.macros[TEST_PREFIX + test]}", path, line
            ) from error

    def evaluate(self, path: Path, line: int, expression: str, functions: Mapping[str, Any]) -> Any:
        """The value of one Jinja expression, such as ``ref('clean')`` as a test's argument.

        Raises:
            ProjectError: it cannot be evaluated.
        """
        try:
            compiled = self.environment.compile_expression(expression, undefined_to_none=False)
            value = compiled(**self._context(functions))
        except (jinja2.TemplateError, ProjectError) as error:
            raise ProjectError(f"'{expression}': {error}", path, line) from error
        if isinstance(value, jinja2.Undefined):
            raise ProjectError(f"'{expression}': {_unknown(str(value._undefined_name))}", path, line)
        return value

    def fill(self, path: Path, line: int, text: str, functions: Mapping[str, Any]) -> str:
        """A short text with ``{{ … }}`` in it, such as a test's argument.

        Raises:
            ProjectError: it cannot be filled in.
        """
        try:
            return self.environment.from_string(text).render(self._context(functions))
        except (jinja2.TemplateError, ProjectError) as error:
            raise ProjectError(f"'{text}': {error}", path, line) from error

    def _define_macros(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        name = self._register(path, text)
        tree = self._guarded(path, lambda: self.environment.parse(self._files[name], filename=str(path)))
        for macro in tree.find_all(jinja2.nodes.Macro):
            if macro.name in self.macros:
                raise ProjectError(
                    f"'{macro.name}' is defined in {self.macros[macro.name]} too; rename one",
                    path,
                    self._line(path, macro.lineno),
                )
            self.macros[macro.name] = path

    def _context(self, functions: Mapping[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = dict(functions)
        modules: dict[Path, Any] = {}

        def caller(name: str, path: Path) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if path not in modules:
                    modules[path] = self.environment.get_template(str(path)).make_module(context)
                return getattr(modules[path], name)(*args, **kwargs)

            return call

        for name, path in self.macros.items():
            context.setdefault(name, caller(name, path))
        return context

    def _register(self, path: Path, text: str) -> str:
        padded, origins = _keep_lines(text)
        self._files[str(path)] = padded
        self._origins[str(path)] = origins
        return str(path)

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        if name not in self._files:
            return None
        text = self._files[name]
        return text, name, lambda: self._files.get(name) == text

    def _line(self, path: Path | str, line: int) -> int:
        origins = self._origins[str(path)]
        return origins[min(line, len(origins)) - 1]

    def _guarded(self, path: Path, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except jinja2.TemplateSyntaxError as error:
            file = error.filename or str(path)
            raise ProjectError(
                f"Jinja syntax error: {error.message}; check the braces and the end of the block",
                Path(file),
                self._line(file, error.lineno) if file in self._origins else error.lineno,
            ) from error
        except (jinja2.TemplateError, ProjectError) as error:
            if isinstance(error, ProjectError) and error.path is not None:
                raise
            message = _unknown_name(error) if isinstance(error, jinja2.UndefinedError) else str(error)
            file, line = self._culprit(error) or (str(path), None)
            raise ProjectError(message, Path(file), line) from error

    def _culprit(self, error: BaseException) -> tuple[str, int] | None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in self._origins and f.lineno]
        return (frames[-1].filename, self._line(frames[-1].filename, frames[-1].lineno or 1)) if frames else None


def _keep_lines(text: str) -> tuple[str, list[int]]:
    """Add after each tag of several lines as many line ends as its output loses, so that line n of the SQL is line n here.

    Returns:
        The longer template, and for each of its lines the line of ``text`` that it comes from.
    """
    parts: list[str] = []
    origins = [1]
    position = 0
    for tag in TAG.finditer(text):
        for piece in (text[position : tag.start()], tag.group()):
            parts.append(piece)
            origins += range(origins[-1] + 1, origins[-1] + 1 + piece.count("\n"))
        lost = tag.group().count("\n")
        parts.append("\n" * lost)
        origins += [origins[-1]] * lost
        position = tag.end()
    parts.append(text[position:])
    origins += range(origins[-1] + 1, origins[-1] + 1 + text[position:].count("\n"))
    return "".join(parts), origins


def _unknown_name(error: jinja2.UndefinedError) -> str:
    found = re.match(r"'(\w+)' is undefined", error.message or "")
    return _unknown(found.group(1)) if found else f"Jinja: {error.message}"


def _unknown(name: str) -> str:
    if name in UNSUPPORTED:
        return f"'{name}' of dbt is not supported in models here; use var() with a value in dbt_project.yml"
    return f"'{name}' is neither a macro of this project nor one of ref, source, var, config, this; check its spelling"
