"""What a data test is: which rows it searches for, and what finding some means.

Belongs here: the plain data of one test, and how configurations of tests are merged. Does not belong here: reading it
from YAML (``schema_file.py``), its SQL (``tests.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from arot_assets.errors import did_you_mean

Severity = Literal["error", "warn"]

TEST_CONFIG_KEYS = (
    "severity",
    "where",
    "enabled",
    "fail_calc",
    "limit",
    "warn_if",
    "error_if",
    "tags",
    "meta",
    "group",
    "store_failures",
    "store_failures_as",
    "alias",
    "schema",
    "database",
)
"""The last ones only say where dbt stores failing rows, and how it groups tests: they are ignored."""


class ConfigProblem(Exception):
    """A configuration that a test cannot have.

    Attributes:
        key: the invalid key.
    """

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


@dataclass(frozen=True)
class TestConfig:
    """What a test's result means, as in dbt.

    Attributes:
        severity: the maximum severity of a failure: an error or a warning.
        where: a filter on the rows that are tested, None for all.
        fail_calc: the aggregate over the failing rows that is the number of failures.
        limit: the maximum number of failing rows, None for all.
        warn_if: the comparison with that number that results in a warning.
        error_if: the one that results in an error, if ``severity`` is error.
        enabled: a disabled test does not exist.
    """

    __test__ = False

    severity: Severity = "error"
    where: str | None = None
    fail_calc: str = "count(*)"
    limit: int | None = None
    warn_if: str = "!= 0"
    error_if: str = "!= 0"
    enabled: bool = True

    def overlaid(self, values: Mapping[str, Any]) -> "TestConfig":
        """This configuration overridden by a more specific one.

        Raises:
            ConfigProblem: an unknown key, or a value of the wrong type.
        """
        for key in values:
            if key not in TEST_CONFIG_KEYS:
                raise ConfigProblem(
                    key, f"test config '{key}' is not supported here.{did_you_mean(key, TEST_CONFIG_KEYS)}"
                )
        given = {k: v for k, v in values.items() if v is not None}
        severity = str(given.get("severity", self.severity)).lower()
        if severity not in ("error", "warn"):
            raise ConfigProblem("severity", f"a test's severity must be error or warn, not '{given['severity']}'")
        enabled = given.get("enabled", self.enabled)
        if not isinstance(enabled, bool):
            raise ConfigProblem("enabled", f"enabled must be true or false, not {enabled!r}")
        limit = given.get("limit", self.limit)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
            raise ConfigProblem("limit", f"limit must be a number of rows, not {limit!r}")
        return TestConfig(
            "warn" if severity == "warn" else "error",
            str(given["where"]) if "where" in given else self.where,
            str(given.get("fail_calc", self.fail_calc)),
            limit,
            str(given.get("warn_if", self.warn_if)),
            str(given.get("error_if", self.error_if)),
            enabled,
        )


@dataclass(frozen=True)
class DataTest:
    """One data test as declared.

    Attributes:
        test: the generic test: not_null, unique, accepted_values, relationships, or a ``{% test %}`` of the project.
            Empty for a singular test.
        name: unique among the tests of its target.
        target: the model, or (source, table).
        column: the column that is tested, None for a test of the whole table.
        arguments: the test's arguments, as written.
        config: merged from dbt_project.yml, the test's own ``config()`` and schema.yml, of which the last takes
            precedence.
        given: the part of it that comes from schema.yml.
        description: for users; empty if there is none.
        path: the file that declares it (for a singular test, the SQL itself).
        line: its line in that file.
        quoted: whether the column's name is put in double quotes.
    """

    test: str
    name: str
    target: str | tuple[str, str]
    column: str | None
    arguments: Mapping[str, Any]
    config: TestConfig
    description: str
    path: Path
    line: int
    given: Mapping[str, Any] = field(default_factory=dict)
    quoted: bool = False

    @property
    def column_sql(self) -> str | None:
        """The column's name in SQL."""
        if self.column is None or not self.quoted:
            return self.column
        return '"' + self.column.replace('"', '""') + '"'
