"""What a person can act on fails a step of Dagster with its one line; a fault of ours keeps its traceback."""

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
