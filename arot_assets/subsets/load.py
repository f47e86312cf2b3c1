"""Reading a project folder: dbt_project.yml, models, seeds, macros, schema.yml.

Belongs here: finding the files, merging configurations. Does not belong here: whether what they name exists
(``linking.py``), tests (``load_tests.py``), what is done with a loaded project (``runner.py``).

A fault leaves out the item that contains it, and whatever reads that; everything else loads normally. Loading renders
each template to learn its dependencies. It parses no SQL and opens no database, so that a Dagster process that only
needs the graph starts quickly.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.names import ascii_word, checked_owner
from arot_assets.subsets.compiled import line_of
from arot_assets.subsets.faults import Faults
from arot_assets.subsets.linking import linked
from arot_assets.subsets.load_tests import with_tests
from arot_assets.subsets.model import Model, ModelConfig
from arot_assets.subsets.project import Project, RenderContext, Var
from arot_assets.subsets.project_file import (
    DEFAULT_FOLDERS,
    NOT_RENDERED,
    ProjectFile,
    complaint,
    read_project_file,
)
from arot_assets.subsets.render import Templates, read_template
from arot_assets.subsets.schema_file import read_schema_file
from arot_assets.subsets.seeds import SeedConfig, seed_query
from arot_assets.subsets.source_tables import SourceTable, source_fault
from arot_assets.subsets.table_docs import Render, TableDocs
from arot_assets.yaml_lines import Where, rendered

MODEL_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""What Dagster accepts as part of an asset name."""
NAME_IN_YAML = re.compile(r"""\bname["']?\s*:\s*["']?([^\s"'#,}\]]+)""")


def load_project(folder: Path, variables: Mapping[str, Any] | None = None) -> Project:
    """Read a project folder. Faults are in ``broken``, with file and line.

    Args:
        folder: the folder that contains dbt_project.yml.
        variables: values that override the ``vars`` of dbt_project.yml.

    Raises:
        ProjectError: one of ``variables`` is not valid.
    """
    overrides = variables or {}
    faults = Faults()
    try:
        file = read_project_file(folder)
        project = _framed(file, overrides, faults)
    except ProjectError as error:
        return _all_broken(folder, error)
    for path in sorted(p for f in file.folders("snapshot-paths") for p in f.rglob("*.sql")):
        faults.add(f"snapshot {path.stem}", ProjectError("snapshots are not supported here; run them with dbt", path))
    project, hidden = _with_sources_and_models(project, file, faults)
    project = with_tests(linked(project, hidden, faults), file, faults)
    for key in overrides:
        if key not in project.asked and key not in file.variables():
            raise ProjectError(
                f"no var '{key}' to override.{did_you_mean(key, {*project.vars, *project.asked} - {key})}", file.path
            )
    return replace(project, broken=faults.errors)


def _framed(file: ProjectFile, overrides: Mapping[str, Any], faults: Faults) -> Project:
    """The project without any models.

    Raises:
        ProjectError: dbt_project.yml as a whole is unusable.
    """
    folder = file.path.parent
    macro_files = [p for f in file.folders("macro-paths") for p in sorted(f.rglob("*.sql"))]
    macro_files += [p for f in file.folders("test-paths") for p in sorted((f / "generic").rglob("*.sql"))]
    templates = Templates(folder, macro_files, faults)
    asked: set[str] = set()
    # with overriding variables only, as in dbt, because its own are read from this same file
    functions = {"var": Var(overrides, asked, "in dbt_project.yml itself a var needs a default")}

    def fill(text: str, where: Where) -> Any:
        return text if where[0] in NOT_RENDERED else templates.value(file.path, file.file.line(where), text, functions)

    file.file.value = rendered(file.top, (), fill)
    values = {**file.variables(), **overrides}
    return Project(folder, file.name, values, {}, {}, {}, (), templates, asked)


def _all_broken(folder: Path, error: ProjectError) -> Project:
    """A project that is entirely unusable because of dbt_project.yml; its models still count as declared."""
    broken = {error.path.name if error.path is not None else str(folder): error}
    broken |= {path.stem: error for path in sorted((folder / DEFAULT_FOLDERS["model-paths"]).rglob("*.sql"))}
    return Project(folder, "", {}, {}, {}, {}, (), Templates(folder, (), Faults()), broken=broken)


def _with_sources_and_models(
    project: Project, file: ProjectFile, faults: Faults
) -> tuple[Project, dict[str, ProjectError]]:
    """The project with all its models in no particular order, and names mentioned in files that cannot be read."""
    found = _Descriptions()
    in_yaml = {"var": Var(project.vars, project.asked)}

    def render(path: Path, line: int, text: str) -> Any:
        return project.templates.value(path, line, text, in_yaml)

    for path in sorted(p for f in file.described_folders() for p in (*f.rglob("*.yml"), *f.rglob("*.yaml"))):
        found.add(path, render, faults)
    sources = {key: table for key, table in found.sources.items() if table.enabled}
    project = replace(project, sources=sources)
    models = _read_models(project, file, found, faults)
    for kind, entries in (("model", found.models), ("seed", found.seeds)):
        for entry in entries.values():
            model = models.get(entry.name)
            if entry.name not in faults.errors and (model is None or model.docs is not entry):
                hint = (
                    did_you_mean(entry.name, models)
                    if model is None
                    else f" It is described as a {kind}: see {model.path}"
                )
                text = f"there is no {kind} '{entry.name}'.{hint}"
                faults.add(entry.name, ProjectError(text, entry.path, entry.line))
    disabled = {m.name: m.path for m in models.values() if not m.config.enabled}
    enabled = {n: m for n, m in models.items() if m.config.enabled and n not in faults.errors}
    return replace(project, models=enabled, disabled=disabled), found.hidden


@dataclass
class _Descriptions:
    """The contents of the properties files.

    Attributes:
        models: by name.
        seeds: by name.
        sources: by (source, table).
        hidden: names mentioned in files that cannot be read, with the reason: what they name may be described there.
    """

    models: dict[str, TableDocs] = field(default_factory=dict)
    seeds: dict[str, TableDocs] = field(default_factory=dict)
    sources: dict[tuple[str, str], SourceTable] = field(default_factory=dict)
    hidden: dict[str, ProjectError] = field(default_factory=dict)

    def add(self, path: Path, render: Render, faults: Faults) -> None:
        """Read another file."""
        try:
            said = read_schema_file(path, render, faults)
        except ProjectError as error:
            faults.add(path.name, error)
            if path.is_file():
                names = NAME_IN_YAML.findall(path.read_text(encoding="utf-8", errors="replace"))
                self.hidden |= dict.fromkeys(names, error)
            return
        for kind, entries, known in (("model", said.models, self.models), ("seed", said.seeds, self.seeds)):
            for entry in entries:
                other = known.setdefault(entry.name, entry)
                if other is not entry:
                    text = f"{kind} '{entry.name}' is also described in {other.path}; keep one"
                    faults.add(entry.name, ProjectError(text, path, entry.line))
        for table in said.sources:
            first = self.sources.setdefault((table.source, table.name), table)
            if first is not table:
                text = f"source table '{table.source}.{table.name}' is also declared in {first.docs.path}; keep one"
                faults.add(source_fault(table.source, table.name), ProjectError(text, path, table.docs.line))


def _read_models(project: Project, file: ProjectFile, described: _Descriptions, faults: Faults) -> dict[str, Model]:
    """Models and seeds with their complete configuration and what they read; whether that exists is not checked yet."""
    models: dict[str, Model] = {}
    taken: dict[str, Path] = {}
    folders = file.folders("model-paths")
    for path in sorted(p for folder in folders for p in folder.rglob("*.py")):
        faults.add(path.stem, ProjectError("models in Python are not supported here; write SQL", path))
    seeds = file.folders("seed-paths")
    for some, extension, entries, read in (
        (folders, "sql", described.models, _read_model),
        (seeds, "csv", described.seeds, _read_seed),
    ):
        for folder, path in ((f, p) for f in some for p in sorted(f.rglob(f"*.{extension}"))):
            name = path.stem
            first = taken.setdefault(re.sub("[-.]", "_", name).lower(), path)
            if first != path:  # DuckDB ignores case, and Dagster treats - and . alike
                same = "exists twice" if first.stem == name else f"is too close to '{first.stem}'"
                error = ProjectError(f"model '{name}' {same}: see {first}; rename one", path)
                faults.add(first.stem, error)
                faults.add(name, error)
            with faults.leaving_out(name):
                if name in described.hidden:
                    raise described.hidden[name]
                _check_name(path)
                entry = entries.get(name, TableDocs(name, path, 1))
                models[name] = read(project, file, path.relative_to(folder), path, entry)
    return models


def _read_seed(project: Project, file: ProjectFile, place: Path, path: Path, entry: TableDocs) -> Model:
    config = SeedConfig()
    said = complaint(path, 1)
    for values, complain in (
        *file.layers("seeds", place.with_suffix("").parts),
        (entry.config, complaint(entry.path, entry.line)),
    ):
        config = config.overlaid(values, complain)
        said = complain if values.get("column_types") else said
    _check_owners(config.shared, path, 1)
    text = seed_query(project.folder, path, config, said) if config.shared.enabled else ""
    return Model(path.stem, path, text, config.shared, entry)


def _read_model(project: Project, file: ProjectFile, place: Path, path: Path, entry: TableDocs) -> Model:
    config = ModelConfig()
    for values, complain in file.layers("models", place.with_suffix("").parts):
        config = config.overlaid(values, complain)
    config = config.overlaid(entry.config, complaint(entry.path, entry.line))
    model = Model(path.stem, path, read_template(path), config, entry)
    own = RenderContext()
    project.templates.render(path, model.text, project.functions(own, model, resolve=False))
    config = config.overlaid(own.config, complaint(path, line_of(model.text, r"config\s*\(")))
    _check_owners(config, path, line_of(model.text, "owner"))
    return replace(
        model,
        config=config,
        refs=tuple(dict.fromkeys(own.refs)),
        sources=tuple(dict.fromkeys(own.sources)),
    )


def _check_owners(config: ModelConfig, path: Path, line: int) -> None:
    for owner in config.owners:
        try:
            checked_owner(owner)
        except ValueError as error:
            raise ProjectError(f"owner '{owner}': {error}", path, line) from error


def _check_name(path: Path) -> None:
    if not MODEL_NAME.fullmatch(path.stem):
        proposed = ascii_word(path.stem).strip("_") or "a name"
        raise ProjectError(
            f"'{path.stem}' cannot be the name of an asset, which may only contain letters a to z, digits, _ and -; "
            f"rename the file to {proposed}{path.suffix}, and ref('{proposed}')",
            path,
        )
