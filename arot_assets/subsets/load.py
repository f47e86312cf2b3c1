"""Reading a project folder: dbt_project.yml, models, macros, schema.yml.

Belongs here: finding the files, laying configurations over one another, checking that names lead somewhere.
Does not belong here: what is done with a project afterwards (``project.py``, ``runner.py``).

Loading renders each template once to learn its dependencies. It parses no SQL and opens no database, so that a Dagster
process which only wants the graph stays quick.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.subsets.data_test import TEST_CONFIG_KEYS, ConfigProblem, DataTest, TestConfig
from arot_assets.subsets.model import Complain, Model, ModelConfig
from arot_assets.subsets.project import Captured, Project, Var
from arot_assets.subsets.render import TEST_PREFIX, Templates, read_template
from arot_assets.subsets.schema_file import CONFIG_KEYS, Render, SourceTable, TableDocs, read_schema_file
from arot_assets.subsets.tests import own_config
from arot_assets.yaml_lines import Where, YamlFile, read_yaml, rendered

PROJECT_KEYS = (
    "name",
    "version",
    "config-version",
    "profile",
    "model-paths",
    "macro-paths",
    "test-paths",
    "seed-paths",
    "analysis-paths",
    "snapshot-paths",
    "asset-paths",
    "docs-paths",
    "target-path",
    "log-path",
    "packages-install-path",
    "clean-targets",
    "require-dbt-version",
    "query-comment",
    "flags",
    "models",
    "seeds",
    "snapshots",
    "data_tests",
    "tests",
    "vars",
)
NOT_RENDERED = ("vars", "query-comment")
"""Keys of dbt_project.yml whose texts stay as they are."""
BUILT_IN_TESTS: Mapping[str, tuple[str, ...]] = {
    "not_null": (),
    "unique": (),
    "accepted_values": ("values",),
    "relationships": ("to", "field"),
}
"""The tests that dbt brings along, and the arguments that each needs."""


def load_project(folder: Path, variables: Mapping[str, Any] | None = None) -> Project:
    """Read a project folder.

    Args:
        folder: where dbt_project.yml is.
        variables: values that win over the ``vars`` of dbt_project.yml.

    Raises:
        ProjectError: anything that does not work out, with file and line.
    """
    overrides = variables or {}
    asked: set[str] = set()
    file = read_yaml(folder / "dbt_project.yml")
    top = file.mapping(file.value, (), PROJECT_KEYS)
    macro_files = [p for f in _folders(folder, top, "macro-paths", "macros") for p in sorted(f.rglob("*.sql"))]
    test_folders = _folders(folder, top, "test-paths", "tests")
    macro_files += [p for f in test_folders for p in sorted((f / "generic").rglob("*.sql"))]
    model_folders = _folders(folder, top, "model-paths", "models")
    templates = Templates(folder, macro_files)
    top = _rendered(file, top, templates, overrides, asked)
    name = file.text(top, "name", ())
    values = _variables(file, top, name, overrides)

    docs: dict[str, TableDocs] = {}
    sources: dict[tuple[str, str], SourceTable] = {}
    in_yaml = {"var": Var(values, asked)}
    for path in sorted(p for f in model_folders for p in (*f.rglob("*.yml"), *f.rglob("*.yaml"))):
        _add_docs(path, docs, sources, lambda at, line, text: templates.value(at, line, text, in_yaml))

    sources = {key: table for key, table in sources.items() if table.enabled}
    project = Project(folder, name, values, {}, {}, sources, (), templates, asked)
    models = _read_models(project, file, model_folders, docs)
    disabled = {m.name: m.path for m in models.values() if not m.config.enabled}
    for entry in docs.values():
        if entry.name not in models:
            raise ProjectError(
                f"there is no model '{entry.name}'.{did_you_mean(entry.name, models)}", entry.path, entry.line
            )
    enabled = {n: m for n, m in models.items() if m.config.enabled}
    linked = _linked(replace(project, models=enabled, disabled=disabled))
    linked = _with_tests(linked, file, model_folders, test_folders)
    for key in overrides:
        if key not in asked and key not in values.keys() - overrides.keys():
            raise ProjectError(f"no var '{key}' to override.{did_you_mean(key, {*values, *asked} - {key})}", file.path)
    return linked


def _rendered(
    file: YamlFile, top: dict[str, Any], templates: Templates, overrides: Mapping[str, Any], asked: set[str]
) -> dict[str, Any]:
    """dbt_project.yml filled in: with overriding variables only, as in dbt, for its own are read from this very file."""
    functions = {"var": Var(overrides, asked, "in dbt_project.yml itself a var needs a default")}

    def fill(text: str, where: Where) -> Any:
        return text if where[0] in NOT_RENDERED else templates.value(file.path, file.line(where), text, functions)

    file.value = rendered(top, (), fill)
    return file.mapping(file.value, (), PROJECT_KEYS)


def _folders(folder: Path, top: Mapping[str, Any], key: str, default: str) -> list[Path]:
    return [folder / str(p) for p in top.get(key) or [default]]


def _variables(file: YamlFile, top: dict[str, Any], name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    given = file.mapping(top.get("vars"), ("vars",))
    own = file.mapping(given.get(name), ("vars", name))
    return {**{k: v for k, v in given.items() if k != name}, **own, **overrides}


def _add_docs(
    path: Path, docs: dict[str, TableDocs], sources: dict[tuple[str, str], SourceTable], render: Render
) -> None:
    models, tables = read_schema_file(path, render)
    for entry in models:
        if entry.name in docs:
            raise ProjectError(
                f"model '{entry.name}' is described in {docs[entry.name].path} too; keep one", path, entry.line
            )
        docs[entry.name] = entry
    for table in tables:
        key = (table.source, table.name)
        if key in sources:
            raise ProjectError(
                f"source table '{table.source}.{table.name}' is declared in {sources[key].docs.path} too; keep one",
                path,
                table.docs.line,
            )
        sources[key] = table


def _read_models(
    project: Project, file: YamlFile, folders: list[Path], docs: Mapping[str, TableDocs]
) -> dict[str, Model]:
    """Models with their whole configuration and what they read; whether that exists is not checked yet."""
    models: dict[str, Model] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.sql")):
            if path.stem in models:
                raise ProjectError(f"model '{path.stem}' exists twice: {models[path.stem].path} too; rename one", path)
            entry = docs.get(path.stem, TableDocs(path.stem, path, 1))
            config = ModelConfig()
            for values, complain in _layers(
                file, "models", project.name, path.relative_to(folder).with_suffix("").parts
            ):
                config = config.overlaid(values, complain)
            config = config.overlaid(entry.config, _complaint(entry.path, entry.line))
            model = Model(path.stem, path, read_template(path), config, entry)
            own = Captured()
            project.templates.render(path, model.text, project.functions(own, model, resolve=False))
            complain = _complaint(path, _line_of(model.text, r"config\s*\("))
            models[path.stem] = replace(
                model,
                config=config.overlaid(own.config, complain),
                refs=tuple(dict.fromkeys(own.refs)),
                sources=tuple(dict.fromkeys(own.sources)),
            )
    return models


def _complaint(path: Path, line: int | None) -> Complain:
    return lambda _key, message: ProjectError(message, path, line)


def _complaint_in(file: YamlFile, where: tuple[str, ...], node: Mapping[str, Any]) -> Complain:
    return lambda key, message: file.error((*where, f"+{key}" if f"+{key}" in node else key), message)


def _layers(file: YamlFile, kind: str, project: str, parts: Sequence[str]) -> Iterator[tuple[dict[str, Any], Complain]]:
    """What dbt_project.yml says below ``kind`` of a file at ``parts`` below its folder, from general to special."""
    known = CONFIG_KEYS if kind == "models" else TEST_CONFIG_KEYS
    where: tuple[str, ...] = (kind,)
    node = file.mapping((file.value or {}).get(kind), where)
    for part in (None, project, *parts):
        if part is not None:
            where = (*where, part)
            node = file.mapping(node.get(part), where)
        for key, value in node.items():
            if not key.startswith("+") and not isinstance(value, dict) and key not in known:
                raise file.error((*where, key), f"'{key}' is no folder of {kind}; a config is written '+{key}'")
        values = {k.removeprefix("+"): v for k, v in node.items() if k.startswith("+") or k in known}
        yield values, _complaint_in(file, where, node)


def _linked(project: Project) -> Project:
    """The project with its models in order, once all that they read is known to be there."""
    models = project.models
    for model in models.values():
        if any(r not in models for r in model.refs) or any(s not in project.sources for s in model.sources):
            # says which, and in which line
            project.templates.render(model.path, model.text, project.functions(Captured(), model, follow=False))
    try:
        order = list(TopologicalSorter({n: m.refs for n, m in models.items()}).static_order())
    except CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        first = models[error.args[1][0]]
        raise ProjectError(f"models refer to each other in a circle: {cycle}; break it", first.path) from error
    return replace(project, models={n: models[n] for n in order})


def _line_of(text: str, pattern: str) -> int:
    found = re.search(pattern, text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _with_tests(project: Project, file: YamlFile, model_folders: list[Path], test_folders: list[Path]) -> Project:
    """The project with the enabled tests, each with its whole configuration."""

    def configured(tests: Sequence[DataTest], folders: list[Path]) -> tuple[DataTest, ...]:
        found = [_configured(project, file, t, folders) for t in tests]
        return tuple(t for t in found if t.config.enabled)

    models = {
        n: replace(m, docs=replace(m.docs, tests=configured(m.docs.tests, model_folders)))
        for n, m in project.models.items()
    }
    sources = {
        k: replace(s, docs=replace(s.docs, tests=configured(s.docs.tests, model_folders)))
        for k, s in project.sources.items()
    }
    singular = configured(_singular_tests(project, test_folders), test_folders)
    return replace(project, models=models, sources=sources, singular_tests=singular)


def _configured(project: Project, file: YamlFile, test: DataTest, folders: list[Path]) -> DataTest:
    """A test with dbt_project.yml's configuration, its own ``config()`` and schema.yml's over one another."""
    _check_test(project, test)
    folder = next(f for f in folders if test.path.is_relative_to(f))
    parts = (*test.path.relative_to(folder).parent.parts, test.name)
    config = TestConfig()
    at_test = _complaint(test.path, test.line)
    layers = [
        *_layers(file, "tests", project.name, parts),
        *_layers(file, "data_tests", project.name, parts),
        (own_config(project, test), at_test),
        (dict(test.given), at_test),
    ]
    for values, complain in layers:
        try:
            config = config.overlaid(values)
        except ConfigProblem as error:
            raise complain(error.key, str(error)) from error
    return replace(test, config=config)


def _singular_tests(project: Project, folders: list[Path]) -> list[DataTest]:
    tests = []
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*.sql") if folder / "generic" not in p.parents):
            captured = Captured()
            project.templates.render(path, read_template(path), project.functions(captured, resolve=False))
            reads: list[str | tuple[str, str]] = [*captured.refs, *captured.sources]
            if any(r in project.disabled for r in captured.refs):  # dbt leaves it out as well
                continue
            project.templates.render(path, read_template(path), project.functions(Captured()))
            if not reads:
                raise ProjectError("a test must read a model or a source; use ref() or source()", path)
            tests.append(DataTest("", path.stem, reads[0], None, {}, TestConfig(), "", path, 1))
    return tests


def _check_test(project: Project, test: DataTest) -> None:
    known = {
        *BUILT_IN_TESTS,
        *(m.removeprefix(TEST_PREFIX) for m in project.templates.macros if m.startswith(TEST_PREFIX)),
    }
    if test.test and test.test not in known:
        raise ProjectError(f"unknown data test '{test.test}'.{did_you_mean(test.test, known)}", test.path, test.line)
    built_in = test.test in BUILT_IN_TESTS and TEST_PREFIX + test.test not in project.templates.macros
    missing = [a for a in BUILT_IN_TESTS.get(test.test, ()) if built_in and a not in test.arguments]
    if missing:
        raise ProjectError(f"test '{test.test}' needs '{missing[0]}'; add it under arguments", test.path, test.line)
    if built_in and test.column is None and "column_name" not in test.arguments:
        raise ProjectError(f"test '{test.test}' belongs under a column; move it there", test.path, test.line)
    if isinstance(test.target, str) and not project.model(test.target).is_stored:
        raise ProjectError(
            f"model '{test.target}' is ephemeral, so it has no table to test; make it a table", test.path, test.line
        )
