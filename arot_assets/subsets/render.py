"""Rendering the templates of a project: models, macros, tests and texts in YAML.

Belongs here: rendering, and reporting file and line if that fails. Does not belong here: what the functions return
(``project.py``), what Jinja offers (``dialect.py``), and what the SQL means (``predicates.py``).

Supported: ``ref``, ``source``, ``var``, ``config``, ``this``, ``tojson``, ``fromjson``, ``set``, ``zip``, ``{% macro
%}`` and ``{% test %}`` blocks, ``{% do %}``. Anything else that dbt offers (``env_var``, ``run_query``, ``adapter`` …)
is an error here: it would make a model depend on something that no digest covers.
"""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import jinja2.nodes
from jinja2.sandbox import SandboxedEnvironment

from arot_assets.errors import ProjectError
from arot_assets.subsets.compiled import CompiledSql, marked
from arot_assets.subsets.dialect import (
    EXTENSIONS,
    PURE_FUNCTIONS,
    TEST_PREFIX,
    TEXT_FILTERS,
    UNSUPPORTED,
    VALUE_FILTERS,
    GenericTest,
    ValueEnvironment,
)
from arot_assets.subsets.faults import Faults

T = TypeVar("T")
DEFINED = re.compile(r"\{%[-+]?\s*(macro|test|data_test)\s+(\w+)")
"""The kind and name of a block in a macro file, for files that Jinja cannot parse."""


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
        self._values = ValueEnvironment(undefined=jinja2.StrictUndefined, extensions=EXTENSIONS)
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
            rendered, lambda: self.environment.from_string(marked(text)).render(self._context(functions))
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

    def _guarded(self, path: Path, action: Callable[[], T]) -> T:
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
