"""Reading a project folder: dbt_project.yml, models, macros, schema.yml.

Belongs here: finding the files, laying configurations over one another, checking that names lead somewhere.
Does not belong here: what is done with a project afterwards (``project.py``, ``runner.py``).

Loading renders each template once to learn its dependencies. It parses no SQL and opens no database, so that a Dagster
process which only wants the graph stays quick.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.subsets.model import Complain, Model, ModelConfig
from arot_assets.subsets.project import Captured, Project
from arot_assets.subsets.render import TEST_PREFIX, Templates
from arot_assets.subsets.schema_file import CONFIG_KEYS, DataTest, SourceTable, TableDocs, read_schema_file
from arot_assets.yaml_lines import YamlFile, read_yaml

PROJECT_KEYS = (
    "name",
    "version",
    "config-version",
    "profile",
    "model-paths",
    "macro-paths",
    "test-paths",
    "target-path",
    "clean-targets",
    "require-dbt-version",
    "flags",
    "models",
    "vars",
)
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
    file = read_yaml(folder / "dbt_project.yml")
    top = file.mapping(file.value, (), PROJECT_KEYS)
    name = file.text(top, "name", ())
    macro_files = [p for f in _folders(folder, top, "macro-paths", "macros") for p in sorted(f.rglob("*.sql"))]
    test_folders = _folders(folder, top, "test-paths", "tests")
    macro_files += [p for f in test_folders for p in sorted((f / "generic").rglob("*.sql"))]
    model_folders = _folders(folder, top, "model-paths", "models")

    docs: dict[str, TableDocs] = {}
    sources: dict[tuple[str, str], SourceTable] = {}
    for path in sorted(p for f in model_folders for p in (*f.rglob("*.yml"), *f.rglob("*.yaml"))):
        _add_docs(path, docs, sources)

    project = Project(
        folder, name, _variables(file, top, name, variables or {}), {}, {}, sources, (), Templates(folder, macro_files)
    )
    models = _read_models(project, file, model_folders, docs)
    disabled = {m.name: m.path for m in models.values() if not m.config.enabled}
    for entry in docs.values():
        if entry.name not in models:
            raise ProjectError(
                f"there is no model '{entry.name}'.{did_you_mean(entry.name, models)}", entry.path, entry.line
            )
    enabled = {n: m for n, m in models.items() if m.config.enabled}
    linked = _linked(replace(project, models=enabled, disabled=disabled))
    linked = replace(linked, singular_tests=_singular_tests(linked, test_folders))
    for test in linked.tests:
        _check_test(linked, test)
    return linked


def _folders(folder: Path, top: Mapping[str, Any], key: str, default: str) -> list[Path]:
    return [folder / str(p) for p in top.get(key) or [default]]


def _variables(file: YamlFile, top: dict[str, Any], name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    given = file.mapping(top.get("vars"), ("vars",))
    own = file.mapping(given.get(name), ("vars", name))
    values = {**{k: v for k, v in given.items() if k != name}, **own}
    for key in overrides:
        if key not in values:
            raise ProjectError(f"no var '{key}' to override.{did_you_mean(key, values)}", file.path)
    return {**values, **overrides}


def _add_docs(path: Path, docs: dict[str, TableDocs], sources: dict[tuple[str, str], SourceTable]) -> None:
    models, tables = read_schema_file(path)
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
    """Models with the configuration of dbt_project.yml and schema.yml; refs and the file's own config are not read yet."""
    models: dict[str, Model] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.sql")):
            if path.stem in models:
                raise ProjectError(f"model '{path.stem}' exists twice: {models[path.stem].path} too; rename one", path)
            entry = docs.get(path.stem, TableDocs(path.stem, path, 1))
            config = _folder_config(project, file, path.relative_to(folder).with_suffix("").parts)
            at_entry = _complaint(entry.path, entry.line)
            config = config.overlaid(entry.config, at_entry)
            model = Model(path.stem, path, path.read_text(encoding="utf-8"), config, entry)
            own = _own_config(model)
            if own.get("enabled") is not None:
                model = replace(model, config=config.overlaid({"enabled": own["enabled"]}, at_entry))
            models[path.stem] = model
    return models


def _complaint(path: Path, line: int | None) -> Complain:
    return lambda _key, message: ProjectError(message, path, line)


def _complaint_in(file: YamlFile, where: tuple[str, ...], node: Mapping[str, Any]) -> Complain:
    return lambda key, message: file.error((*where, f"+{key}" if f"+{key}" in node else key), message)


def _own_config(model: Model) -> dict[str, Any]:
    """``enabled`` of the file's own config(): needed before refs can be checked, so it must be a constant."""
    found = re.search(r"config\([^)]*\benabled\s*=\s*(\w+)", model.text)
    return {"enabled": found.group(1).lower() == "true"} if found else {}


def _folder_config(project: Project, file: YamlFile, parts: tuple[str, ...]) -> ModelConfig:
    """The ``models:`` part of dbt_project.yml for a model at ``parts`` below its models folder."""
    config = ModelConfig()
    where: tuple[str, ...] = ("models",)
    node = file.mapping((file.value or {}).get("models"), where)
    for part in (None, project.name, *parts):
        if part is not None:
            where = (*where, part)
            node = file.mapping(node.get(part), where)
        for key, value in node.items():
            if not key.startswith("+") and not isinstance(value, dict) and key not in CONFIG_KEYS:
                raise file.error((*where, key), f"'{key}' is no folder of models; a config is written '+{key}'")
        config = config.overlaid(
            {k.removeprefix("+"): v for k, v in node.items() if k.startswith("+") or k in CONFIG_KEYS},
            _complaint_in(file, where, node),
        )
    return config


def _linked(project: Project) -> Project:
    """Render every model once: its own config, its refs and sources; then put them in order."""
    models = dict(project.models)
    for name, model in project.models.items():
        own = Captured()
        project.templates.render(model.path, model.text, project.functions(own, model, follow=False))
        config = model.config.overlaid(own.config, _complaint(model.path, _line_of(model.text, r"config\s*\(")))
        models[name] = replace(
            model, config=config, refs=tuple(dict.fromkeys(own.refs)), sources=tuple(dict.fromkeys(own.sources))
        )
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


def _singular_tests(project: Project, folders: list[Path]) -> tuple[DataTest, ...]:
    tests = []
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*.sql") if folder / "generic" not in p.parents):
            captured = Captured()
            text = path.read_text(encoding="utf-8")
            project.templates.render(path, text, project.functions(captured))
            own = captured.config
            if not captured.refs and not captured.sources:
                raise ProjectError("a test must read a model or a source; use ref() or source()", path)
            target = captured.refs[0] if captured.refs else captured.sources[0]
            severity = str(own.get("severity", "error")).lower()
            if severity not in ("error", "warn") or set(own) - {"severity", "tags", "meta"}:
                raise ProjectError("a test's config knows severity ('error' or 'warn'), tags and meta here", path)
            tests.append(
                DataTest("", path.stem, target, None, {}, "warn" if severity == "warn" else "error", None, "", path, 1)
            )
    return tuple(tests)


def _check_test(project: Project, test: DataTest) -> None:
    known = {
        *BUILT_IN_TESTS,
        *(m.removeprefix(TEST_PREFIX) for m in project.templates.macros if m.startswith(TEST_PREFIX)),
    }
    if test.test and test.test not in known:
        raise ProjectError(f"unknown data test '{test.test}'.{did_you_mean(test.test, known)}", test.path, test.line)
    missing = [a for a in BUILT_IN_TESTS.get(test.test, ()) if a not in test.arguments]
    if missing:
        raise ProjectError(f"test '{test.test}' needs '{missing[0]}'; add it under arguments", test.path, test.line)
    if test.test in BUILT_IN_TESTS and test.column is None and "column_name" not in test.arguments:
        raise ProjectError(f"test '{test.test}' belongs under a column; move it there", test.path, test.line)
    if isinstance(test.target, str) and not project.model(test.target).is_stored:
        raise ProjectError(
            f"model '{test.target}' is ephemeral, so it has no table to test; make it a table", test.path, test.line
        )
