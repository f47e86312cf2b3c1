"""What a data test is: which rows it looks for, and what finding some means.

Belongs here: the plain data of one test, and how configurations of tests are laid over one another.
Does not belong here: reading it from YAML (``schema_file.py``), its SQL (``tests.py``).
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
"""The last ones only say where dbt keeps failing rows, and how it groups tests: they are passed over."""


class ConfigProblem(Exception):
    """A configuration that no test can have.

    Attributes:
        key: the one to blame.
    """

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


@dataclass(frozen=True)
class TestConfig:
    """What a test's result means, as in dbt.

    Attributes:
        severity: what failing is at most: an error or a warning.
        where: a filter on the rows looked at, None for all.
        fail_calc: the aggregate over the failing rows that is the number of failures.
        limit: so many failing rows at most, None for all.
        warn_if: the comparison with that number that makes a warning.
        error_if: the one that makes an error, if ``severity`` is that.
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
        """This configuration under a more specific one.

        Raises:
            ConfigProblem: an unknown key, or a value of the wrong kind.
        """
        for key in values:
            if key not in TEST_CONFIG_KEYS:
                raise ConfigProblem(
                    key, f"test config '{key}' is not supported here.{did_you_mean(key, TEST_CONFIG_KEYS)}"
                )
        given = {k: v for k, v in values.items() if v is not None}
        severity = str(given.get("severity", self.severity)).lower()
        if severity not in ("error", "warn"):
            raise ConfigProblem("severity", f"a test's severity is error or warn, not '{given['severity']}'")
        enabled = given.get("enabled", self.enabled)
        if not isinstance(enabled, bool):
            raise ConfigProblem("enabled", f"enabled is true or false, not {enabled!r}")
        limit = given.get("limit", self.limit)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
            raise ConfigProblem("limit", f"limit is a number of rows, not {limit!r}")
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
        column: the column it is about, None for a test of the whole table.
        arguments: what the test is given, as written.
        config: merged from dbt_project.yml, the test's own ``config()`` and schema.yml, the latter wins.
        given: the part of it that schema.yml says.
        description: for people; empty if none was written.
        path: the file that declares it (for a singular test, the SQL itself).
        line: the line there.
        quoted: the column's name goes into double quotes.
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
        """The column as SQL names it."""
        if self.column is None or not self.quoted:
            return self.column
        return '"' + self.column.replace('"', '""') + '"'
