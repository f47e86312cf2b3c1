"""The dbt dialect of Jinja: ref, source, var, config, this, macros and generic tests.

Belongs here: rendering a template to SQL, and reporting file and line if that fails. Does not belong here: what the
functions return (``project.py``), and what the SQL means (``predicates.py``).

Supported: ``ref``, ``source``, ``var``, ``config``, ``this``, ``tojson``, ``fromjson``, ``set``, ``zip``, ``{% macro
%}`` and ``{% test %}`` blocks, ``{% do %}``. Anything else that dbt offers (``env_var``, ``run_query``, ``adapter`` …)
is an error here: it would make a model depend on something that no digest covers.
"""

import json
import re
import traceback
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nativetypes
import jinja2.nodes
import jinja2.parser
from jinja2.ext import Extension
from jinja2.sandbox import SandboxedEnvironment

from arot_assets.errors import ProjectError
from arot_assets.subsets.faults import Faults

TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
EXTENSIONS = ("jinja2.ext.do", "jinja2.ext.loopcontrols")
MARK = re.compile("\ue000(\\d+)\ue001")
"""A line number, inserted before the line's first character; from Unicode's private use area, which no SQL needs."""
TEST_PREFIX = "test_"
DEFINED = re.compile(r"\{%[-+]?\s*(macro|test|data_test)\s+(\w+)")
"""The kind and name of a block in a macro file, for files that Jinja cannot parse."""
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
    "dbt",
    "run_started_at",
    "invocation_id",
    "flags",
    "local_md5",
    "schema",
    "database",
    "project_name",
    "load_result",
    "print",
)


class Relation(str):
    """A table's name as written in SQL: ``"schema"."identifier"``.

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


class CompiledSql(str):
    """SQL that knows which line of its template each of its lines comes from."""

    _trace: Callable[[], str]

    def __new__(cls, text: str, trace: Callable[[], str] | None = None) -> "CompiledSql":
        """Args: the SQL, and a function that renders it again with marks at the beginning of the template's lines."""
        made = super().__new__(cls, text)
        made._trace = trace if trace is not None else lambda: text
        return made

    def origin(self, line: int) -> int | None:
        """The template's line (from 1) that a line comes from; None if whitespace control or a macro moved it."""
        try:
            marked = self._trace()
        except Exception:  # a template that inspects its own text; without marks it works
            return None
        if MARK.sub("", marked) != self:
            return None
        lines = marked.split("\n")
        if not 0 < line <= len(lines):
            return None
        found = MARK.findall("\n".join(lines[: line - 1]))
        here = MARK.search(lines[line - 1])
        if here is not None:
            return int(here.group(1))
        return int(found[-1]) if found else None

    def without_end(self) -> "CompiledSql":
        """The same without trailing whitespace and semicolons."""
        return CompiledSql(_ended(self), lambda: _ended(self._trace()))


def _ended(text: str) -> str:
    return text.rstrip().rstrip(";").rstrip()


class _NativeText(str):
    """A string for ``literal_eval``: the result of the filters as_bool, as_number and as_native."""


class _NativeEnvironment(jinja2.nativetypes.NativeEnvironment, SandboxedEnvironment):
    """Jinja whose templates return values: ``{{ 3 }}`` is a number, ``x{{ 3 }}`` is text, as in dbt's YAML."""

    @staticmethod
    def concat(values: Iterable[Any]) -> Any:
        """The single value, or the text of several."""
        nodes = list(values)
        if len(nodes) != 1:
            return "".join(str(v) for v in chain(nodes))
        (value,) = nodes
        if not isinstance(value, _NativeText):
            return value
        try:
            return literal_eval(value)
        except (ValueError, SyntaxError):
            return str(value)


VALUE_FILTERS: dict[str, Callable[[Any], Any]] = {
    "as_text": str,
    **{name: lambda value: _NativeText(value) for name in ("as_bool", "as_number", "as_native")},
}
TEXT_FILTERS: dict[str, Callable[[Any], Any]] = {
    name: lambda value: value for name in ("as_text", "as_bool", "as_number", "as_native")
}


PURE_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tojson": lambda value, default=None, sort_keys=False: _or_default(
        lambda: json.dumps(value, sort_keys=sort_keys), default
    ),
    "fromjson": lambda text, default=None: _or_default(lambda: json.loads(text), default),
    "set": lambda values, default=None: _or_default(lambda: set(values), default),
    "zip": lambda *values, default=None: _or_default(lambda: zip(*values, strict=False), default),
}
"""What dbt offers that depends on nothing but its arguments."""


def _or_default(made: Callable[[], Any], default: Any) -> Any:
    """As in dbt: a value of the wrong type returns the default, which is None unless given."""
    try:
        return made()
    except (TypeError, ValueError):
        return default


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
        folder: the project folder; errors give file names relative to it, in the form passed by the caller.
        macro_files: files whose ``{% macro %}`` and ``{% test %}`` blocks are available in every template.
        faults: collects their faults, by macro or file: a syntax error, or two definitions of one name. Calling such a
            macro raises that error.
    """

    def __init__(self, folder: Path, macro_files: Sequence[Path], faults: Faults) -> None:
        self.folder = folder
        self._faults = faults
        self._files: dict[str, str] = {}
        self.environment = SandboxedEnvironment(
            loader=jinja2.FunctionLoader(self._load),
            undefined=jinja2.StrictUndefined,
            extensions=[*EXTENSIONS, GenericTest],
        )
        self.environment.filters |= TEXT_FILTERS
        self.environment.globals |= PURE_FUNCTIONS
        self._values = _NativeEnvironment(undefined=jinja2.StrictUndefined, extensions=EXTENSIONS)
        self._values.filters |= VALUE_FILTERS
        self.macros: dict[str, Path] = {}
        self._broken: dict[str, ProjectError] = {}
        for path in macro_files:
            with faults.leaving_out(str(path.relative_to(folder))):
                self._define_macros(path)

    def render(self, path: Path, text: str, functions: Mapping[str, Any]) -> CompiledSql:
        """Render a template.

        Args:
            path: the file that ``text`` comes from, for error messages.
            text: the template.
            functions: what the template may call or read, by name.

        Raises:
            ProjectError: a syntax error, an unknown name, or a failing function; with file and line.
        """
        self._files[str(path)] = text
        rendered = self._guarded(
            path, lambda: self.environment.get_template(str(path)).render(self._context(functions))
        )
        return CompiledSql(
            rendered, lambda: self.environment.from_string(_marked(text)).render(self._context(functions))
        )

    def render_test(
        self, test: str, path: Path, line: int, arguments: Mapping[str, Any], functions: Mapping[str, Any]
    ) -> str:
        """The SQL of a generic test: the rows that fail it.

        Args:
            test: its name, without the ``test_`` prefix.
            path: the schema file that declares it.
            line: its line in that file.
            arguments: model, column_name and the test's own arguments.
            functions: see ``render``.

        Raises:
            ProjectError: the test does not accept these arguments, or fails.
        """
        called = self._context(functions)[TEST_PREFIX + test]

        def call() -> str:
            try:
                return str(called(**arguments))
            except TypeError as error:
                if self._culprit(error) is not None:  # inside the test, not because of its arguments
                    raise
                raise ProjectError(
                    f"test '{test}': {error}; see its arguments in {self.macros[TEST_PREFIX + test]}", path, line
                ) from error

        return self._guarded(path, call)

    def value(self, path: Path, line: int, text: str, functions: Mapping[str, Any]) -> Any:
        """The value of a text in YAML: the text itself, or the result of its ``{{ … }}``.

        A single expression returns its own value, of any type; with anything around it, the result is text.

        Raises:
            ProjectError: it cannot be rendered.
        """
        if "{{" not in text and "{%" not in text and "{#" not in text:
            return text
        try:
            value = self._values.from_string(text).render(self._context(functions))
        except jinja2.UndefinedError as error:
            raise ProjectError(f"'{text}': {_unknown_name(error)}", path, line) from error
        except Exception as error:  # the text's own Python may raise anything
            raise ProjectError(f"'{text}': {_told(error)}", path, line) from error
        if isinstance(value, jinja2.Undefined):
            raise ProjectError(f"'{text}': {_unknown(str(value._undefined_name))}", path, line)
        return value

    def require(self, macro: str) -> None:
        """Raise the error of a macro that has a fault.

        Raises:
            ProjectError: the fault of its file.
        """
        if macro in self._broken:
            raise self._broken[macro]

    def _define_macros(self, path: Path) -> None:
        text = read_template(path)
        self._files[str(path)] = text
        try:
            tree = self._guarded(path, lambda: self.environment.parse(text, filename=str(path)))
        except ProjectError as error:
            self._broken |= {_macro_name(*found): error for found in DEFINED.findall(text)}
            raise
        for macro in tree.find_all(jinja2.nodes.Macro):
            if macro.name in self.macros:
                twice = ProjectError(
                    f"'{macro.name}' is also defined in {self.macros[macro.name]}; rename one", path, macro.lineno
                )
                self._broken[macro.name] = twice
                self._faults.add(f"macro {macro.name}", twice)
            self.macros[macro.name] = path

    def _context(self, functions: Mapping[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = dict(functions)
        modules: dict[Path, Any] = {}

        def caller(name: str, path: Path) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                self.require(name)
                if path not in modules:
                    modules[path] = self.environment.get_template(str(path)).make_module(context)
                return getattr(modules[path], name)(*args, **kwargs)

            return call

        for name in (*self.macros, *self._broken):
            context.setdefault(name, caller(name, self.macros.get(name, self.folder)))
        return context

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        if name not in self._files:
            return None
        text = self._files[name]
        return text, name, lambda: self._files.get(name) == text

    def _guarded(self, path: Path, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except jinja2.TemplateSyntaxError as error:
            raise ProjectError(
                f"Jinja syntax error: {error.message}; check the braces and the end of the block",
                Path(error.filename or path),
                error.lineno,
            ) from error
        except Exception as error:  # a template's own Python may raise anything
            if isinstance(error, ProjectError) and error.path is not None:
                raise
            file, line = self._culprit(error) or (str(path), None)
            raise ProjectError(_told(error), Path(file), line) from error

    def _culprit(self, error: BaseException) -> tuple[str, int] | None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in self._files and f.lineno]
        return (frames[-1].filename, frames[-1].lineno or 1) if frames else None


def read_template(path: Path) -> str:
    """The text of a template, without a byte order mark, which some editors write.

    Raises:
        ProjectError: it cannot be read, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProjectError(f"cannot be read: {error.strerror}; check the path", path) from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"is not UTF-8 text: {error}; save it as UTF-8", path) from error


def line_of(text: str, pattern: str) -> int:
    """The line (from 1) of the first match of a pattern; 1 if there is none."""
    found = re.search(pattern, text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _marked(text: str) -> str:
    """A template with a mark before the first character of each line that produces output there.

    A mark must not be where whitespace control would strip it, nor inside a tag.
    """
    tags = [tag.span() for tag in TAG.finditer(text)]
    parts: list[str] = []
    position = 0
    for number, line in enumerate(text.split("\n"), start=1):
        begin = position + len(line) - len(line.lstrip())
        inside = any(first < begin < last for first, last in tags)
        writes = line.strip() and not line.lstrip().startswith(("{%", "{#", "{{-"))
        if writes and not inside:
            parts.append(f"{text[position:begin]}\ue000{number}\ue001{text[begin : position + len(line)]}")
        else:
            parts.append(line)
        position += len(line) + 1
    return "\n".join(parts)


def _told(error: Exception) -> str:
    """The error of a template, in one line."""
    if isinstance(error, jinja2.UndefinedError):
        return _unknown_name(error)
    if isinstance(error, ProjectError):
        return str(error)
    text = " ".join(str(error).replace("Project.functions.<locals>.", "").split())
    return f"Jinja: {type(error).__name__}: {text}; correct the call or the expression on this line"


def _macro_name(kind: str, name: str) -> str:
    return name if kind == "macro" else TEST_PREFIX + name


def _unknown_name(error: jinja2.UndefinedError) -> str:
    found = re.match(r"'(\w+)' is undefined", error.message or "")
    return _unknown(found.group(1)) if found else f"Jinja: {error.message}"


def _unknown(name: str) -> str:
    if name in UNSUPPORTED:
        return f"'{name}' of dbt is not supported in models here; use var() with a value in dbt_project.yml"
    return f"'{name}' is neither a macro of this project nor one of ref, source, var, config, this; check its spelling"
