"""The dialect of Jinja that dbt uses: its filters and functions, generic tests, templates of values.

Belongs here: what Jinja itself lacks. Does not belong here: rendering a project's templates (``render.py``), and what
depends on a project (``project.py``).
"""

import json
from ast import literal_eval
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import jinja2
import jinja2.nativetypes
import jinja2.nodes
import jinja2.parser
from jinja2.ext import Extension
from jinja2.sandbox import SandboxedEnvironment

EXTENSIONS = ("jinja2.ext.do", "jinja2.ext.loopcontrols")
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
"""What dbt offers and this runner does not: it would make a model depend on something that no digest covers."""


class _NativeText(str):
    """A string for ``literal_eval``: the result of the filters as_bool, as_number and as_native."""


class ValueEnvironment(jinja2.nativetypes.NativeEnvironment, SandboxedEnvironment):
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
