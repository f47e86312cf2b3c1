"""Whether what models read exists: their order, circles, and what depends on something with a fault.

Belongs here: following ref() and source() through a project. Does not belong here: reading files (``load.py``).
"""

from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from re import escape

from arot_assets.errors import ProjectError
from arot_assets.subsets.compiled import line_of
from arot_assets.subsets.faults import Faults
from arot_assets.subsets.model import Model
from arot_assets.subsets.project import Project
from arot_assets.subsets.source_tables import source_fault


def linked(project: Project, hidden: Mapping[str, ProjectError], faults: Faults) -> Project:
    """The project with the models that can be compiled, upstream first.

    Args:
        project: with all models that could be read, in any order.
        hidden: names mentioned in properties files that cannot be read: a missing source may be declared there.
        faults: collects the faults of the other models, including that they read something that is left out.
    """
    project = replace(project, broken=faults.errors)
    able: dict[str, Model] = {}
    for name in _ordered(project.models, faults):
        model = project.models[name]
        with faults.leaving_out(name):
            _require_whole(project, model, hidden, faults)
            project.compile(name)
            able[name] = model
    return replace(project, models=able)


def left_out_ref(refs: tuple[str, ...], faults: Faults) -> tuple[str, ProjectError] | None:
    """The first of these models that has a fault, with the fault."""
    return next(((ref, faults.errors[ref]) for ref in refs if ref in faults.errors), None)


def left_out_error(broken: tuple[str, ProjectError], path: Path, text: str) -> ProjectError:
    """The error of a template that refers to a model with a fault, as returned by ``left_out_ref``."""
    name, error = broken
    line = line_of(text, rf"""ref\([^)]*['"]{escape(name)}['"]""")
    return ProjectError(f"reads model '{name}', which is left out ({_place(error)})", path, line)


def _require_whole(project: Project, model: Model, hidden: Mapping[str, ProjectError], faults: Faults) -> None:
    """Reject a model that reads something that is left out.

    Raises:
        ProjectError: it does; names the line.
    """
    broken = left_out_ref(model.refs, faults)
    if broken is not None:
        raise left_out_error(broken, model.path, model.text)
    for source, table in model.sources:
        fault = faults.errors.get(source_fault(source, table)) or faults.errors.get(source_fault(source))
        if fault is None and (source, table) not in project.sources:
            fault = hidden.get(source)
        if fault is not None:
            line = line_of(model.text, rf"""source\(\s*['"]{escape(source)}['"]\s*,\s*['"]{escape(table)}['"]""")
            text = f"reads source '{source}.{table}', which is left out ({_place(fault)})"
            raise ProjectError(text, model.path, line)


def _ordered(models: Mapping[str, Model], faults: Faults) -> list[str]:
    """The names of models, each after those that it refers to; models in a circle are left out."""
    rest = dict(models)
    while True:
        graph = {n: [r for r in m.refs if r in rest] for n, m in rest.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            text = f"models refer to each other in a circle: {' -> '.join(circle)}; remove one of these references"
            first = rest[circle[0]]
            line = line_of(first.text, rf"""ref\([^)]*['"]{escape(circle[1])}['"]""")
            for name in circle[1:]:
                faults.add(name, ProjectError(text, first.path, line))
                del rest[name]


def _place(error: ProjectError) -> str:
    """Where a fault is: its file's name, and the line if that is known."""
    name = "its file" if error.path is None else error.path.name
    return name if error.line is None else f"{name}:{error.line}"
