"""The data tests of schema.yml as Dagster asset checks.

Belongs here: one check for each declared test, on the asset of the model or source table that it is about.
Does not belong here: the tests' SQL (``tests.py``).
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.errors import ProjectError
from arot_assets.failures import fails_in_words
from arot_assets.names import ascii_word
from arot_assets.steps import CHECK_VERSION
from arot_assets.subsets.assets import model_key
from arot_assets.subsets.data_test import DataTest, Severity
from arot_assets.subsets.digest import test_version
from arot_assets.subsets.project import Project
from arot_assets.subsets.steps import source_path
from arot_assets.subsets.tests import describe_test, run_test
from resources.tables import Tables
from resources.warehouse import Warehouse


def sql_model_checks(project: Project, sources: bool = True) -> list[dg.AssetChecksDefinition]:
    """One multi-check for each model or source table that has tests; it opens the warehouse once.

    A failing test of severity ``warn`` is a warning, any other an error. A test that cannot run fails.

    Args:
        project: the SQL project.
        sources: include tests of source tables, which are checks on the assets of the dataset.
    """
    by_key: dict[dg.AssetKey, list[DataTest]] = {}
    for test in project.tests:
        if isinstance(test.target, str):
            by_key.setdefault(model_key(test.target), []).append(test)
        elif sources:
            by_key.setdefault(dg.AssetKey(list(source_path(project, test.target))), []).append(test)
    return [_checks(project, key, tests) for key, tests in by_key.items()]


def _checks(project: Project, key: dg.AssetKey, tests: list[DataTest]) -> dg.AssetChecksDefinition:
    by_name = {t.name: t for t in tests}
    specs = [
        dg.AssetCheckSpec(
            name=t.name,
            asset=key,
            description=describe_test(t),
            metadata={"file": f"{t.path.relative_to(project.folder.parent).as_posix()}:{t.line}"},
        )
        for t in tests
    ]

    @dg.multi_asset_check(name=ascii_word("_".join(["sql_tests", *key.path])), specs=specs, can_subset=True)
    @fails_in_words
    def check(
        context: dg.AssetCheckExecutionContext,
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.AssetCheckResult]:
        wanted = sorted(k.name for k in context.selected_asset_check_keys)
        with warehouse.connect() as con:
            for name in wanted:
                test = by_name[name]
                version = {CHECK_VERSION: test_version(project, test, tables)}
                severity = _severity(test.config.severity)
                try:
                    result = run_test(con, project, test)
                except ProjectError as error:
                    yield dg.AssetCheckResult(
                        asset_key=key,
                        check_name=name,
                        passed=False,
                        severity=severity,
                        description=str(error),
                        metadata=version,
                    )
                    continue
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=name,
                    passed=result.passed,
                    severity=_severity(result.severity),
                    description=None if result.passed else f"{result.failures:,} rows fail",
                    metadata={
                        **version,
                        "failing_rows": result.failures,
                        "sql": dg.MetadataValue.md(f"```sql\n{result.sql}\n```"),
                        **({"examples": dg.MetadataValue.md(result.to_markdown())} if result.rows else {}),
                    },
                )

    return check


def _severity(severity: Severity) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if severity == "warn" else dg.AssetCheckSeverity.ERROR
