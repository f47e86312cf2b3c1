"""The tests of a project, each with its complete configuration.

Belongs here: singular tests, merging configurations, checking a declaration against the test that it names. Does not
belong here: reading declarations (``schema_file.py``), a test's SQL (``tests.py``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.names import ascii_word
from arot_assets.subsets.data_test import ConfigProblem, DataTest, TestConfig
from arot_assets.subsets.dialect import TEST_PREFIX
from arot_assets.subsets.faults import Faults
from arot_assets.subsets.linking import left_out_error, left_out_ref
from arot_assets.subsets.project import Project, RenderContext
from arot_assets.subsets.project_file import ProjectFile, complaint
from arot_assets.subsets.render import read_template
from arot_assets.subsets.tests import own_config

BUILT_IN_TESTS: Mapping[str, tuple[str, ...]] = {
    "not_null": (),
    "unique": (),
    "accepted_values": ("values",),
    "relationships": ("to", "field"),
}
"""The tests that dbt provides, and the arguments that each requires."""


def with_tests(project: Project, file: ProjectFile, faults: Faults) -> Project:
    """The project with the enabled tests, each with its complete configuration.

    A fault in a test of a model leaves out the model, and with it everything that reads it: nobody should use a table
    that was not checked as its author intended. A fault in any other test leaves out the test.
    """
    described, test_folders = file.described_folders(), file.folders("test-paths")
    models = dict(project.models)
    for name, model in project.models.items():
        with faults.leaving_out(name):
            broken = left_out_ref(model.refs, faults)  # models come upstream first
            if broken is not None:
                raise left_out_error(broken, model.path, model.text)
            tests = [_configured(project, file, t, described) for t in model.docs.tests]
            models[name] = replace(model, docs=replace(model.docs, tests=_enabled(tests)))
    sources = {}
    for key, source in project.sources.items():
        found = _each_configured(project, file, source.docs.tests, described, faults)
        sources[key] = replace(source, docs=replace(source.docs, tests=_enabled(found)))
    project = replace(project, models={n: m for n, m in models.items() if n not in faults.errors}, sources=sources)
    singular = list(_singular_tests(project, test_folders, faults))
    return replace(project, singular_tests=_enabled(_each_configured(project, file, singular, test_folders, faults)))


def _enabled(tests: Sequence[DataTest]) -> tuple[DataTest, ...]:
    return tuple(t for t in tests if t.config.enabled)


def _each_configured(
    project: Project, file: ProjectFile, tests: Sequence[DataTest], folders: list[Path], faults: Faults
) -> list[DataTest]:
    found: list[DataTest] = []
    for test in tests:
        with faults.leaving_out(f"test {test.name}"):
            found.append(_configured(project, file, test, folders))
    return found


def _configured(project: Project, file: ProjectFile, test: DataTest, folders: list[Path]) -> DataTest:
    """A test with the merged configuration of dbt_project.yml, its own ``config()`` and schema.yml."""
    _check_test(project, test)
    folder = next(f for f in folders if test.path.is_relative_to(f))
    parts = (*test.path.relative_to(folder).parent.parts, test.name)
    config = TestConfig()
    at_test = complaint(test.path, test.line)
    layers = [
        *file.layers("tests", parts),
        *file.layers("data_tests", parts),
        (own_config(project, test), at_test),
        (dict(test.given), at_test),
    ]
    for values, complain in layers:
        try:
            config = config.overlaid(values)
        except ConfigProblem as error:
            raise complain(error.key, str(error)) from error
    return replace(test, config=config)


def _singular_tests(project: Project, folders: list[Path], faults: Faults) -> Iterator[DataTest]:
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*.sql") if folder / "generic" not in p.parents):
            with faults.leaving_out(f"test {path.stem}"):
                test = _singular_test(project, path, faults)
                if test is not None:
                    yield test


def _singular_test(project: Project, path: Path, faults: Faults) -> DataTest | None:
    """A test that is a separate file; None if it tests a disabled model, as in dbt.

    It is shown with the first stored model or table that it reads, including through ephemeral models.
    """
    captured = RenderContext()
    text = read_template(path)
    project.templates.render(path, text, project.functions(captured, resolve=False))
    if any(r in project.disabled for r in captured.refs):
        return None
    broken = left_out_ref(tuple(captured.refs), faults)
    if broken is not None:
        raise left_out_error(broken, path, text)
    project.templates.render(path, text, project.functions(RenderContext()))
    reads: list[str | tuple[str, str]] = []
    for ref in captured.refs:
        if project.models[ref].is_stored:
            reads.append(ref)
        else:
            refs, sources = project.inputs(ref)
            reads += [*refs, *sources]
    reads += captured.sources
    if not reads:
        raise ProjectError("a test must read a model or a source; use ref() or source()", path)
    return DataTest("", ascii_word(path.stem), reads[0], None, {}, TestConfig(), "", path, 1)


def _check_test(project: Project, test: DataTest) -> None:
    known = {
        *BUILT_IN_TESTS,
        *(m.removeprefix(TEST_PREFIX) for m in project.templates.macros if m.startswith(TEST_PREFIX)),
    }
    project.templates.require(TEST_PREFIX + test.test)
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
