"""The entries of tables in schema.yml, of whatever kind: descriptions, columns, tests.

Belongs here: reading one entry into plain data. Does not belong here: files and their kinds of entries
(``schema_file.py``), tables that the project does not build (``source_tables.py``), running a test (``tests.py``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError
from arot_assets.names import ascii_word
from arot_assets.subsets.data_test import TEST_CONFIG_KEYS, ConfigProblem, DataTest, TestConfig
from arot_assets.subsets.faults import Faults
from arot_assets.yaml_lines import Where, YamlFile, rendered

Render = Callable[[Path, int, str], Any]
"""The value of a text, given its file and line: ``Templates.value`` with the functions available in YAML."""
COLUMN_KEYS = ("name", "description", "data_type", "quote", "meta", "tags", "config", "data_tests", "tests")
TEST_KEYS = ("arguments", "config", "name", "description", "test_name")


@dataclass(frozen=True)
class ColumnDoc:
    """A column in schema.yml, and its line."""

    name: str
    description: str
    line: int


@dataclass(frozen=True)
class TableDocs:
    """A model or source table in schema.yml; its columns by their names in lower case, since SQL ignores case."""

    name: str
    path: Path
    line: int
    description: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, ColumnDoc] = field(default_factory=dict)
    tests: tuple[DataTest, ...] = ()


def entry_name(file: YamlFile, entry: Any, where: Where) -> str:
    """The name of an entry, for its faults; its position if it has none."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else f"{file.path.name}:{file.line(where)}"


def table_docs(
    file: YamlFile,
    entry: Any,
    where: Where,
    keys: tuple[str, ...],
    render: Render,
    *,
    source: str | None = None,
    configs: tuple[str, ...] | None = None,
    faults: Faults | None = None,
) -> TableDocs:
    """The entry of a model or seed, or of a table of ``source``.

    Args:
        file: the file that contains it.
        entry: the entry.
        where: its path in the file.
        keys: the keys it may have.
        render: renders ``{{ … }}``.
        source: the source's name, None for a model or seed.
        configs: the keys that its ``config`` may have; None for any.
        faults: collects those of tests; None if a fault in a test is one of the whole entry.
    """
    table = file.mapping(entry, where, keys)
    name = file.text(table, "name", where)
    target = name if source is None else (source, name)
    config = dict(file.mapping(table.get("config"), (*where, "config"), configs))
    for key in ("meta", "tags"):
        if key in table:
            config.setdefault(key, table[key])
    columns: dict[str, ColumnDoc] = {}
    tests = _tests(file, table, where, target, None, render, faults)
    for i, item in enumerate(file.sequence(table.get("columns"), (*where, "columns"))):
        here = (*where, "columns", i)
        column = file.mapping(item, here, COLUMN_KEYS)
        column_name = file.text(column, "name", here)
        if column_name.lower() in columns:
            raise file.error(here, f"column '{column_name}' of '{name}' is described twice; keep one")
        columns[column_name.lower()] = ColumnDoc(column_name, _description(file, column, here), file.line(here))
        found = _tests(file, column, here, target, column_name, render, faults)
        tests += [replace(t, quoted=bool(column.get("quote"))) for t in found]
    named = _unique_names([t for t in tests if t.config.enabled])
    return TableDocs(
        name, file.path, file.lines[where], _description(file, table, where), config, columns, tuple(named)
    )


def _description(file: YamlFile, mapping: dict[str, Any], where: Where) -> str:
    text = file.text(mapping, "description", where, "")
    if "{{" in text:
        raise file.error((*where, "description"), "doc() in descriptions is not supported here; write the text itself")
    return " ".join(text.split())


def _tests(
    file: YamlFile,
    owner: dict[str, Any],
    where: Where,
    target: str | tuple[str, str],
    column: str | None,
    render: Render,
    faults: Faults | None,
) -> list[DataTest]:
    tests: list[DataTest] = []
    for key in ("data_tests", "tests"):
        for i, entry in enumerate(file.sequence(owner.get(key), (*where, key))):
            here = (*where, key, i)
            if faults is None:
                tests.append(_test(file, entry, here, target, column, render))
                continue
            with faults.leaving_out(f"test in {file.path.name}:{file.line(here)}"):
                tests.append(_test(file, entry, here, target, column, render))
    return tests


def _test(
    file: YamlFile, entry: Any, where: Where, target: str | tuple[str, str], column: str | None, render: Render
) -> DataTest:
    if isinstance(entry, str):
        entry = {entry: {}}
    if isinstance(entry, dict) and "test_name" in entry:
        entry = {entry["test_name"]: {k: v for k, v in entry.items() if k != "test_name"}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise file.error(
            where, "a data test must be a name, or one name with its arguments below it ('- accepted_range: {…}')"
        )
    ((test, written),) = entry.items()
    below = (*where, test) if (*where, test) in file.lines else where
    written = dict(file.mapping(written, below))
    arguments = {k: v for k, v in written.items() if k not in (*TEST_KEYS, *TEST_CONFIG_KEYS)}
    arguments |= file.mapping(written.get("arguments"), (*below, "arguments"))

    def fill(text: str, place: Where) -> Any:
        return render(file.path, file.line(place), text)

    given = {k: rendered(written[k], (*below, k), fill) for k in TEST_CONFIG_KEYS if k in written}
    given |= rendered(file.mapping(written.get("config"), (*below, "config")), (*below, "config"), fill)
    try:
        config = TestConfig().overlaid(given)
    except ConfigProblem as error:
        raise file.error((*below, "config", error.key), str(error)) from error
    name = written.get("name") or (f"{test}_{column}" if column else str(test))
    return DataTest(
        test=str(test),
        name=ascii_word(str(name)),
        target=target,
        column=column,
        arguments=arguments,
        config=config,
        description=str(written.get("description", "")),
        path=file.path,
        line=file.line(below),
        given=given,
    )


def _unique_names(tests: list[DataTest]) -> list[DataTest]:
    """Several tests with the same name get their arguments appended to it, as in dbt."""
    names = [t.name for t in tests]
    result: list[DataTest] = []
    for test in tests:
        name = test.name
        if names.count(name) > 1:
            given = " ".join(str(v) for v in [*test.arguments.values(), test.config.where or ""])
            words = re.sub("_+", "_", ascii_word(given)).strip("_")
            name = f"{name}_{words}" if words else name
        if any(name == other.name for other in result):
            raise ProjectError(f"test '{name}' is declared twice; delete one, or set 'name'", test.path, test.line)
        result.append(replace(test, name=name))
    return result
