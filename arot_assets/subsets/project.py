"""The SQL project: its models, and what ref, source, var and config return in them.

Belongs here: ``Project``, compiling a model, and what a model reads.
Does not belong here: reading the folder (``load.py``), Jinja itself (``render.py``), running SQL (``runner.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.subsets.compiled import CompiledSql, Relation
from arot_assets.subsets.data_test import DataTest
from arot_assets.subsets.model import Model
from arot_assets.subsets.render import Templates
from arot_assets.subsets.source_tables import SourceTable, source_fault

MODELS_SCHEMA = "main"
WIDE = "wide"


@dataclass
class RenderContext:
    """What a template requested while it was rendered."""

    refs: list[str] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


class Config:
    """``config(…)`` of a template: calls are recorded, and ``config.get`` returns what has been recorded so far."""

    def __init__(self, noted: dict[str, Any]) -> None:
        self._noted = noted

    def __call__(self, values: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Record settings, given by name or as one mapping."""
        self._noted.update(values or {}, **more)
        return ""

    def get(self, key: str, default: Any = None) -> Any:
        """A setting recorded earlier."""
        return self._noted.get(key, default)


class Var:
    """``var(name, default)`` of a template."""

    def __init__(self, values: Mapping[str, Any], asked: set[str], where: str = "give it in dbt_project.yml") -> None:
        """Args: the variables, a set that collects the requested names, and where a missing one has to be defined."""
        self._values = values
        self._asked = asked
        self._where = where

    def __call__(self, name: str, default: Any = ...) -> Any:
        """The value, or else the default.

        Raises:
            ProjectError: there is neither.
        """
        self._asked.add(name)
        if name in self._values:
            return self._values[name]
        if default is ...:
            raise ProjectError(f"unknown var '{name}'; {self._where}.{did_you_mean(name, self._values)}")
        return default

    def has_var(self, name: str) -> bool:
        """Whether it is defined, so that the default is not needed."""
        self._asked.add(name)
        return name in self._values


@dataclass(frozen=True)
class Project:
    """A SQL project, loaded by ``load_project``.

    Attributes:
        folder: the folder that contains dbt_project.yml.
        name: the project's name.
        vars: values for ``var()``.
        models: enabled models by name, upstream before downstream.
        disabled: models disabled by ``enabled: false``, and where they are.
        sources: declared source tables by (source, table).
        singular_tests: tests that are separate SQL files.
        templates: its Jinja templates.
        asked: names of the variables that templates have requested so far.
        broken: what is left out because of a fault, and why, by name of a model, otherwise kind and name, or file.
    """

    folder: Path
    name: str
    vars: Mapping[str, Any]
    models: Mapping[str, Model]
    disabled: Mapping[str, Path]
    sources: Mapping[tuple[str, str], SourceTable]
    singular_tests: tuple[DataTest, ...]
    templates: Templates
    asked: set[str] = field(default_factory=set)
    broken: Mapping[str, ProjectError] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """One line per fault, with file and line, however much is left out because of it."""
        return list(dict.fromkeys(str(error) for error in self.broken.values()))

    def require_whole(self) -> None:
        """Raise an error if anything of the project is left out.

        Raises:
            ProjectError: something is left out.
        """
        lines = self.problems()
        if lines:
            raise ProjectError("\n".join(f"left out: {line}" for line in lines))

    def model(self, name: str) -> Model:
        """The model of this name.

        Raises:
            ProjectError: it does not exist, has a fault, or is disabled.
        """
        if name in self.broken:
            raise self.broken[name]
        if name in self.disabled:
            raise ProjectError(f"model '{name}' is disabled; set enabled: true for {self.disabled[name]} to use it")
        if name not in self.models:
            raise ProjectError(f"no model '{name}' in {self.folder}.{did_you_mean(name, self.models)}")
        return self.models[name]

    def source(self, source: str, table: str) -> SourceTable:
        """The declared table.

        Raises:
            ProjectError: it is not declared, or has a fault.
        """
        for fault in (source_fault(source), source_fault(source, table)):
            if fault in self.broken:
                raise self.broken[fault]
        if (source, table) in self.sources:
            return self.sources[source, table]
        names = {s for s, _ in self.sources}
        if source not in names:
            raise ProjectError(f"unknown source '{source}'; declare it in a schema .yml.{did_you_mean(source, names)}")
        tables = [t for s, t in self.sources if s == source]
        raise ProjectError(f"source '{source}' has no table '{table}' declared.{did_you_mean(table, tables)}")

    def compile(self, name: str) -> CompiledSql:
        """The SQL of a model for DuckDB, with sources as ``"schema"."table"`` and refs as ``"main"."model"``."""
        model = self.model(name)
        return self.templates.render(model.path, model.text, self.functions(RenderContext(), model)).without_end()

    def inputs(self, name: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """Stored models and source tables that a model's SQL reads, including through ephemeral models and ``wide``.

        ``wide`` joins every table of its dataset, so it represents every other table declared beside it.
        """
        refs: list[str] = []
        sources: list[tuple[str, str]] = []
        model = self.model(name)
        for ref in model.refs:
            if self.models[ref].is_stored:
                refs.append(ref)
            else:
                more_refs, more_sources = self.inputs(ref)
                refs += more_refs
                sources += more_sources
        for source, table in model.sources:
            if self.source(source, table).location is not None:
                continue  # a file or a call, not a table of the store
            if table == WIDE:
                sources += [(s, t) for s, t in self.sources if s == source and t not in (WIDE, "inventory")]
            else:
                sources.append((source, table))
        return tuple(dict.fromkeys(refs)), tuple(dict.fromkeys(sources))

    def functions(
        self, captured: RenderContext, model: Model | None = None, follow: bool = True, resolve: bool = True
    ) -> dict[str, Any]:
        """What a template may call: ref, source, var, config, this. Calls are recorded in ``captured``.

        Args:
            captured: where calls are recorded.
            model: the model being rendered, None for a test.
            follow: inline ephemeral models. False while loading, when there may be circles.
            resolve: look up models and sources. False while it is not yet known which of them are enabled.
        """

        def ref(*names: str) -> str:
            if len(names) == 2 and names[0] != self.name:
                raise ProjectError(
                    f"ref('{names[0]}', …): packages are not supported; the only project is '{self.name}'"
                )
            if len(names) not in (1, 2):
                raise ProjectError("ref() takes the name of a model")
            if not resolve:
                captured.refs.append(names[-1])
                return Relation(MODELS_SCHEMA, names[-1])
            target = self.model(names[-1])
            captured.refs.append(target.name)
            if target.is_stored or not follow:
                return Relation(MODELS_SCHEMA, target.name)
            return f"(\n{self.compile(target.name)}\n)"

        def source(source_name: str, table: str) -> str:
            if not resolve:
                captured.sources.append((source_name, table))
                return Relation(source_name, table)
            found = self.source(source_name, table)
            captured.sources.append((source_name, table))
            return found.location or Relation(found.schema, found.identifier)

        functions: dict[str, Any] = {
            "ref": ref,
            "source": source,
            "var": Var(self.vars, self.asked),
            "config": Config(captured.config),
        }
        if model is not None:
            functions["this"] = Relation(MODELS_SCHEMA, model.name)
        return functions

    @property
    def subsets(self) -> tuple[str, ...]:
        """The names of the models that are tagged ``subset`` and have a table, upstream first."""
        return tuple(name for name, model in self.models.items() if model.is_subset and model.is_stored)

    @cached_property
    def tests(self) -> tuple[DataTest, ...]:
        """Every enabled data test: of models in their order, of sources, and singular ones."""
        declared = [t for m in self.models.values() for t in m.docs.tests]
        declared += [t for s in self.sources.values() for t in s.docs.tests]
        return (*declared, *self.singular_tests)
