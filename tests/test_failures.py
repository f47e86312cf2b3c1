"""What a person can act on fails a step of Dagster with its one line; a fault of ours keeps its traceback."""

import errno
from collections.abc import Iterator

import dagster as dg
import pytest

from arot_assets.exports.errors import ExportError
from arot_assets.failures import fails_in_words
from arot_assets.markdown import cell, write_table
from resources.errors import ArotError
from resources.tables import TablesError

LINE = "demo: source 's3://b/x' not readable: AccessDenied; set AWS_PROFILE"


def failure(body: dg.AssetsDefinition) -> dg.DagsterEvent:
    """The failed step of materializing an asset once."""
    done = dg.materialize([body], raise_on_error=False)
    (event,) = [e for e in done.all_events if e.is_step_failure]
    return event


@pytest.mark.parametrize("error", [ArotError, ExportError, TablesError])
def test_an_error_for_people_is_the_failure_of_its_step(error: type[ArotError]) -> None:
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=3))
    @fails_in_words
    def refused(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        raise error(LINE)

    event = failure(refused)  # one failure: the step is not tried again
    told = event.step_failure_data.user_failure_data
    assert told is not None and told.description == LINE


def test_a_body_that_yields_is_told_like_one_that_returns() -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("a"), dg.AssetSpec("b", deps=["a"])])
    @fails_in_words
    def both() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult(asset_key="a")
        raise ArotError(LINE)

    done = dg.materialize([both], raise_on_error=False)
    told = done.failure_data_for_node("both")
    assert told is not None and told.user_failure_data is not None and told.user_failure_data.description == LINE
    assert done.asset_materializations_for_node("both")[0].asset_key == dg.AssetKey("a")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    @dg.asset
    @fails_in_words
    def broken() -> None:
        raise KeyError("x")

    told = failure(broken).step_failure_data
    assert told.user_failure_data is None and told.error is not None and "KeyError" in str(told.error.cause)


def test_every_body_of_the_graph_tells_its_errors_in_words() -> None:
    from arot_assets.definitions import build_definitions

    definitions = build_definitions()
    graph = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    bodies = [a.op.compute_fn.decorated_fn for a in graph if isinstance(a, dg.AssetsDefinition) and a.is_executable]
    assert bodies
    assert [b.__qualname__ for b in bodies if not hasattr(b, "__wrapped__")] == []


def test_a_table_shows_every_value_in_one_line_and_breaks_no_column() -> None:
    rows = [("a|b\nc", 1234567, 0.123456), (True, None, "x")]
    assert write_table(("name", "n", "share"), rows, right=("n",)).splitlines() == [
        "| name | n | share |",
        "|---|--:|---|",
        "| a\\|b c | 1,234,567 | 0.1235 |",
        "| True | None | x |",
    ]
    assert cell("12.5\N{NO-BREAK SPACE}%") == "12.5\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/a.tmp"),
            "cannot use '/x/a.tmp': No space left on device; ",
        ),
        (OSError(errno.EROFS, "Read-only file system"), "cannot use a file: Read-only file system; "),
        (
            PermissionError(errno.EACCES, "Permission denied", b"/x"),
            "cannot use '/x': Permission denied; grant this user",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x"), "have the quota raised"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "free some space"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
    ],
)
def test_what_the_machine_refuses_is_told_in_words(error: Exception, words: str) -> None:
    @dg.asset
    @fails_in_words
    def refused() -> None:
        try:
            raise error
        except Exception as cause:
            if isinstance(cause, FileNotFoundError | RuntimeError):
                raise
            raise ValueError("the file is not complete") from cause

    told = failure(refused).step_failure_data
    assert told is not None and told.user_failure_data is not None
    assert words in (told.user_failure_data.description or "")
