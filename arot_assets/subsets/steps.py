"""The steps of SQL models, and whether they are current.

Belongs here: whether a stored model is current, as `arot run` and `arot status` ask. The work is in ``runner.py``.
"""

from collections.abc import Callable

from arot_assets.steps import Check, Key, Look, State, Step
from arot_assets.subsets.data_test import DataTest
from arot_assets.subsets.digest import stored_digest, test_version
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import load_result, model_is_current, waiting_in
from resources.defaults import Resources
from resources.tables import ModelRef

MODELS = "models"


def model_path(name: str) -> Key:
    """The key of a SQL model."""
    return (MODELS, name)


def source_path(project: Project, source: tuple[str, str]) -> Key:
    """The key of a table that a model reads."""
    found = project.source(*source)
    return (found.schema, found.identifier)


def model_upstream(project: Project, name: str) -> tuple[Key, ...]:
    """The keys of the models and tables that a model is built from."""
    refs, sources = project.inputs(name)
    return (*map(model_path, refs), *(source_path(project, source) for source in sources))


def model_steps(project: Project) -> list[Step]:
    """One step for each stored model."""
    return [_step(project, model.name) for model in project.models.values() if model.is_stored]


def _step(project: Project, name: str) -> Step:
    key = model_path(name)
    return Step(
        keys=(key,),
        upstream=model_upstream(project, name),
        state=lambda look: model_state(look, project, name),
        together=MODELS,
        checks={key: model_tests(project, name)},
        shown=(lambda resources: _waterfall(resources, project, name)) if name in project.subsets else None,
    )


def _waterfall(resources: Resources, project: Project, name: str) -> str:
    """How many samples each predicate of a subset removes."""
    result = load_result(project, name, resources.tables)
    if result is None:
        return ""
    shown = result.waterfall.to_text() if result.waterfall else f"no waterfall: {result.waterfall_problem}"
    return f"{name}: {result.rows:,} samples\n{shown}"


def source_tests(project: Project) -> dict[Key, tuple[Check, ...]]:
    """The tests of source tables, which run with the assets that build these tables."""
    found: dict[Key, tuple[Check, ...]] = {}
    for test in project.tests:
        if not isinstance(test.target, str):
            key = source_path(project, test.target)
            found[key] = (*found.get(key, ()), Check(test.name))
    return found


def model_tests(project: Project, name: str) -> tuple[Check, ...]:
    """The tests of a model; each runs again when it, or the model, has changed since its last run."""
    return tuple(Check(t.name, _version(project, t, name)) for t in project.tests if t.target == name)


def _version(project: Project, test: DataTest, model: str) -> Callable[[Look], str | None]:
    def now(look: Look) -> str | None:
        tables = look.resources.tables
        return None if stored_digest(tables, model) is None else test_version(project, test, tables)

    return now


def model_state(look: Look, project: Project, name: str) -> State:
    """Whether a model was built from its current text and tables."""
    tables, con = look.resources.tables, look.connection()
    waits = look.once(("waiting models", project.folder), lambda: waiting_in(project, con)).get(name, [])
    built = stored_digest(tables, name) is not None
    return State(
        current=not waits and model_is_current(project, name, tables, con),
        rows=tables.num_rows(ModelRef(name)) if built else 0,
        waits=tuple(waits),
    )
