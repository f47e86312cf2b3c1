"""Metrics of stored columns: computed from other tables, only where something changed, without a decode."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from arot_assets.datasets.assets import dataset_assets
from arot_assets.datasets.steps import dataset_steps
from arot_assets.metrics.assets import metric_assets
from arot_assets.metrics.checks import metric_checks
from arot_assets.metrics.fit_rows import computed_rows
from arot_assets.metrics.metric import Column, Metric, row_metric, rows
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.steps import metric_steps, row_state
from arot_assets.metrics.takes import faults_of_inputs
from arot_assets.metrics.vectors import vectors_of
from arot_assets.steps import Graph, Look
from resources.dagster import dagster_resources
from tests.conftest import Dataset


@row_metric(takes=rows("cv2.brightness"), version="1", columns=[Column("dark", bool, "brightness below 100")])
def darkness(table: pa.Table) -> dict[str, object]:
    """Whether it is dark."""
    return {"dark": pc.less(table["cv2.brightness"], 100)}


@row_metric(
    takes=rows("samples.caption", "darkness.dark"),
    version="1",
    columns=[Column("words", pa.int32(), "words of the caption")],
)
def wordy(table: pa.Table) -> dict[str, object]:
    """How many words the caption of a picture has."""
    return {"words": pc.list_value_length(pc.utf8_split_whitespace(pc.fill_null(table["samples.caption"], "")))}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Metric]:
    """Metrics that the tests may name beside the catalogue's."""
    mine = {"darkness": darkness, "wordy": wordy}
    monkeypatch.setattr("tests.conftest.get_metric", lambda name: mine.get(name) or get_metric(name))
    return mine


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each block that is computed."""
    from arot_assets.metrics import rows as module

    seen: list[int] = []

    def counting(metric: Metric, compute: Callable[[pa.Table], Any], inputs: pa.Table) -> pa.Table:
        seen.append(inputs.num_rows)
        return computed_rows(metric, compute, inputs)

    monkeypatch.setattr(module, "computed_rows", counting)
    return seen


def test_row_for_every_sample_from_stored_columns_alone(
    dataset: Dataset, known: dict[str, Metric], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run("cv2")
    for file in dataset.source.rglob("*.jpg"):
        file.unlink()
    dataset.metrics("darkness", "wordy")
    assert dataset.sql("select count(*), count(distinct sample_id) from d.darkness where status = 'ok'") == [(12, 12)]
    assert dataset.sql(
        "select count(*) from d.cv2 join d.darkness using (sample_id) where dark <> (brightness < 100)"
    ) == [(0,)]
    assert dataset.sql("select darkness__dark, wordy__words from d.wide limit 0") == []
    wrong = "select count(*) from d.samples join d.wordy using (sample_id) where words <> len(string_split(trim(caption), ' '))"
    assert dataset.sql(wrong) == [(0,)]


def test_equal_columns_of_two_models_stand_beside_each_other_in_wide(
    dataset: Dataset, known: dict[str, Metric]
) -> None:
    """Two scorers both call their column ``score``: in ``wide`` each has the name of its table before it."""

    def scorer(name: str, column: str, factor: float) -> Metric:
        return Metric(
            name,
            "1",
            "A scorer.",
            (Column("score", pa.float32(), "a score"), Column("label", pa.string(), "a label")),
            takes=rows(column),
            compute_rows=lambda table: {
                "score": [value * factor for value in table[column].to_pylist()],
                "label": [name] * table.num_rows,
            },
        )

    known["ours"], known["theirs"] = scorer("ours", "cv2.brightness", 2.0), scorer("theirs", "cv2.contrast", 1.0)
    dataset.run("cv2", "ours", "theirs")
    found = dataset.sql(
        "select count(*), bool_and(abs(ours__score - 2 * cv2__brightness) < 1e-2), bool_and(abs(theirs__score - cv2__contrast) < "
        "1e-2), bool_and(ours__label = 'ours' and theirs__label = 'theirs') from d.wide"
    )
    assert found == [(12, True, True, True)]
    agree = dataset.sql("select count(*) from d.wide where ours__score > theirs__score")
    assert agree == dataset.sql(
        "select count(*) from d.ours join d.theirs using (sample_id) where ours.score > theirs.score"
    )


def test_nothing_changed_means_nothing_computed(
    dataset: Dataset, known: dict[str, Metric], computed: list[int]
) -> None:
    dataset.run("cv2", "darkness", "wordy")
    assert sum(computed) == 24
    before = dataset.sql("select sample_id, computed_at from d.wordy order by 1")
    computed.clear()
    found = dataset.metrics("darkness", "wordy")
    assert computed == [] and (found["wordy"].kept, found["wordy"].computed) == (12, 0)
    assert dataset.sql("select sample_id, computed_at from d.wordy order by 1") == before


def test_new_version_of_an_input_computes_all_that_is_made_from_it(
    dataset: Dataset, known: dict[str, Metric], computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run("cv2", "darkness", "wordy")
    computed.clear()
    bumped = replace(get_metric("cv2"), version="next")
    mine = {**known, "cv2": bumped}
    monkeypatch.setattr("tests.conftest.get_metric", lambda name: mine[name])
    assert outdated(dataset, known["darkness"]) == outdated(dataset, known["wordy"]) == ()
    dataset.metrics("cv2")
    assert len(outdated(dataset, known["darkness"])) == 3
    dataset.metrics("darkness")
    assert len(outdated(dataset, known["wordy"])) == 3, "what changed two tables up counts too"
    dataset.metrics("wordy")
    assert sum(computed) == 24
    assert outdated(dataset, known["darkness"]) == outdated(dataset, known["wordy"]) == ()


def outdated(dataset: Dataset, metric: Metric) -> tuple[str, ...]:
    with Look(dataset.resources) as look:
        return row_state(look, "d", metric).missing


def test_another_caption_computes_that_row_alone(
    dataset: Dataset, known: dict[str, Metric], computed: list[int]
) -> None:
    dataset.run("cv2", "darkness", "wordy")
    computed.clear()
    picture = sorted(dataset.source.rglob("*.jpg"))[0]
    picture.with_suffix(".txt").write_text("one two three four five six seven eight nine ten eleven")
    dataset.run("cv2", "darkness", "wordy")
    assert computed == [1], "the caption counts for wordy; the picture is known to darkness by its content"
    assert dataset.sql("select max(words) from d.wordy") == [(11,)]


def test_renamed_file_costs_no_computing(dataset: Dataset, known: dict[str, Metric], computed: list[int]) -> None:
    dataset.run("cv2", "darkness")
    computed.clear()
    picture = sorted(dataset.source.rglob("*.jpg"))[0]
    picture.rename(dataset.source / "renamed.jpg")
    dataset.run("cv2", "darkness")
    assert computed == []
    assert dataset.sql(
        "select count(*) from d.samples join d.darkness using (sample_id) where uri like '%renamed.jpg'"
    ) == [(1,)]


def test_failed_input_is_a_failed_row_until_it_is_there(
    dataset: Dataset, known: dict[str, Metric], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = get_metric("cv2")
    failing = [True]

    def picky(image):  # type: ignore[no-untyped-def]
        if failing:
            raise RuntimeError("not today")
        assert real.compute is not None
        return real.compute(image)

    mine = {**known, "cv2": replace(real, compute=picky)}
    monkeypatch.setattr("tests.conftest.get_metric", lambda name: mine[name])
    dataset.run("cv2", "darkness", "wordy")
    assert dataset.sql("select distinct status, reason, dark from d.darkness") == [
        ("failed", "no cv2: RuntimeError: not today", None)
    ]
    assert dataset.sql("select distinct reason from d.wordy") == [("no darkness: no cv2: RuntimeError: not today",)]
    failing.clear()
    dataset.metrics("cv2", retry="not today")
    assert len(outdated(dataset, darkness)) == 3
    dataset.metrics("darkness", "wordy")
    assert dataset.sql(
        "select count(*) from d.darkness join d.wordy using (sample_id) where darkness.status = 'ok'"
    ) == [(12,)]


def test_row_that_cannot_be_computed_fails_alone_and_is_retried(
    dataset: Dataset, known: dict[str, Metric], computed: list[int]
) -> None:
    dataset.run("cv2")
    ((bad,),) = dataset.sql("select max(brightness) from d.cv2")
    broken = [bad]

    def compute(table: pa.Table) -> dict[str, object]:
        if set(table["cv2.brightness"].to_pylist()) & set(broken):
            raise ZeroDivisionError("too bright")
        return {"dark": pc.less(table["cv2.brightness"], 100)}

    known["darkness"] = replace(darkness, compute_rows=compute)
    found = dataset.metrics("darkness")["darkness"]
    assert found.failures == {"ZeroDivisionError: too bright": 1} and found.rows == 12
    broken.clear()
    assert dataset.metrics("darkness")["darkness"].computed == 0, "a failed row is not tried again by itself"
    assert dataset.metrics("darkness", retry="bright")["darkness"].computed == 1
    assert dataset.sql("select count(*) from d.darkness where status = 'ok'") == [(12,)]


def test_model_and_table_errors_end_the_work(dataset: Dataset, known: dict[str, Metric]) -> None:
    from resources.models.entry import ModelError
    from resources.tables import TablesError

    dataset.run("cv2")

    def compute(table: pa.Table) -> dict[str, object]:
        raise ModelError("no such head")

    known["darkness"] = replace(darkness, compute_rows=compute)
    with pytest.raises(ModelError, match="no such head"):
        dataset.metrics("darkness")
    with pytest.raises(TablesError, match="materialize the asset that writes it"):
        dataset.metrics("wordy")


def test_in_dagster_each_has_its_asset_with_checks_and_what_it_is_made_from(
    dataset: Dataset, known: dict[str, Metric], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("assets", "checks", "steps"):
        monkeypatch.setattr(
            f"arot_assets.metrics.{module}.get_metric", lambda name: known.get(name) or get_metric(name)
        )
    names = ["wordy", "cv2", "darkness"]
    declaration = dataset.declaration.model_copy(update={"metrics": names})
    dataset.run()
    assets = metric_assets(declaration, dataset.resources.models)
    deps = {"/".join(k.path): {d.path[-1] for d in a.asset_deps[k]} for a in assets for k in a.keys}
    assert deps == {"d/cv2": {"samples"}, "d/darkness": {"samples", "cv2"}, "d/wordy": {"samples", "darkness"}}
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("d_shards", dataset.shards())
    span = {"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00002"}
    for name in ("cv2", "darkness", "wordy"):
        result = dg.materialize(
            [*dataset_assets(declaration), *assets, *metric_checks(declaration)],
            resources=dagster_resources(dataset.resources),
            instance=instance,
            selection=dg.AssetSelection.assets(["d", name]),
            tags=span,
        )
        checks = result.get_asset_check_evaluations()
        assert result.success and checks and all(check.passed for check in checks)
    with Look(dataset.resources) as look:
        assert [metric_steps(declaration)[k].state(look).current for k in range(3)] == [True] * 3
    graph = Graph([*dataset_steps(declaration), *metric_steps(declaration)])
    assert [step.keys[0][1] for step in graph][2:] == ["cv2", "darkness", "wordy"]


@pytest.mark.parametrize(
    ("metrics", "texts"),
    [
        (["darkness"], ["metric 'darkness' takes 'cv2': add it to the metrics of 'd'"]),
        (
            ["cv2", "odd"],
            ["metric 'odd' takes 'cv2.brightnes', and 'cv2' has no such column. Did you mean 'brightness'?"],
        ),
        (
            ["cv2", "one", "two"],
            [
                "metric 'one' is made from itself: one -> two -> one",
                "metric 'two' is made from itself: two -> one -> two",
            ],
        ),
        (["cv2", "darkness", "wordy"], []),
    ],
)
def test_table_or_column_that_is_not_there_is_told(metrics: list[str], texts: list[str]) -> None:
    def of(name: str, *columns: str) -> Metric:
        return replace(darkness, name=name, takes=rows(*columns))

    mine = {
        "darkness": darkness,
        "wordy": wordy,
        "odd": of("odd", "cv2.brightnes"),
        "one": of("one", "two.dark"),
        "two": of("two", "one.dark"),
    }
    wanted = {name: mine.get(name) or get_metric(name) for name in metrics}
    assert [text for _, text in faults_of_inputs("d", wanted, ["caption"], {})] == texts


def made(columns: dict[str, pa.DataType], given: Callable[[pa.Table], dict[str, object]], count: int = 3) -> list[dict]:  # type: ignore[type-arg]
    declared = tuple(Column(name, kind, "") for name, kind in columns.items())
    metric = Metric("odd", "1", "", declared, takes=rows("t.x"), compute_rows=given)
    return computed_rows(metric, given, pa.table({"t.x": list(range(count))})).to_pylist()


@pytest.mark.parametrize(
    ("kind", "values", "bad"),
    [
        (pa.int16(), np.array([1.0, 2.5, 3.0]), "column odd.y is int16, which can't hold 2.5"),
        (pa.int16(), [1, 100_000, 3], "column odd.y is int16, which can't hold 100000"),
        (pa.float32(), np.array([1.0, 1e300, 3.0]), "column odd.y is float, which can't hold"),
        (pa.list_(pa.float32(), 2), [[1.0, 2.0], [1.0], [3.0, 4.0]], "which can't hold [1.0]"),
    ],
)
def test_value_that_does_not_fit_fails_its_row_alone(kind: pa.DataType, values: object, bad: str) -> None:
    found = made({"y": kind}, lambda _: {"y": values})
    assert [row["reason"] is None for row in found] == [True, False, True]
    assert bad in found[1]["reason"] and found[1]["y"] is None and found[2]["y"] is not None


def test_whole_columns_keep_their_values() -> None:
    vectors = np.arange(6, dtype=np.float16).reshape(3, 2)
    kinds = {
        "v": pa.list_(pa.float16(), 2),
        "f": pa.float32(),
        "i": pa.int64(),
        "s": pa.string(),
        "l": pa.list_(pa.int32()),
    }
    given = {
        "v": vectors,
        "f": np.array([0.5, np.nan, 2]),
        "i": [1, None, 3],
        "s": ["a", "b", None],
        "l": [[1], [], None],
    }
    found = made(kinds, lambda _: {**given, "reason": [None, None, "no"]})
    assert [list(row["v"]) if row["v"] else None for row in found] == [[0.0, 1.0], [2.0, 3.0], None]
    assert (found[0]["f"], found[1]["i"], found[1]["l"], found[2]["i"]) == (0.5, None, [], None)
    assert np.isnan(found[1]["f"]) and found[2]["reason"] == "no"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"z": [1, 2, 3]}, "missing ['y'], not declared ['z']"),
        ({"y": [1]}, "has 1 values for 3 rows"),
        ({"y": [1, 2, 3], "reason": [None]}, "returned 1 reasons for 3 rows"),
    ],
)
def test_function_that_returns_something_else_fails_every_row(given: dict[str, object], reason: str) -> None:
    found = made({"y": pa.int64()}, lambda _: given)
    assert all(reason in row["reason"] for row in found) and len(found) == 3


def test_rows_are_named_with_their_table() -> None:
    assert rows("a.x", "b.y", "a.z").tables == ("a", "b") and rows("a.x", "b.y", "a.z").of("a") == ["x", "z"]
    for wrong in ("vector", "a.b.c", "a.", "A.x"):
        with pytest.raises(ValueError, match="named with its table"):
            rows(wrong)
    with pytest.raises(ValueError, match="exactly one of"):
        Metric("m", "1", "", (), takes=rows("a.x"))
    with pytest.raises(ValueError, match="goes with takes"):
        Metric("m", "1", "", (), compute_rows=lambda t: {})


def test_vectors_share_the_memory_of_their_column() -> None:
    column = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    np.testing.assert_array_equal(vectors_of(column.slice(1)), [[3.0, 4.0]])
    np.testing.assert_array_equal(vectors_of(pa.array([[1.0], [2.0]])), [[1.0], [2.0]])
    with pytest.raises(ValueError, match="1 of 2 rows have no vector"):
        vectors_of(pa.array([[1.0], None]))
    with pytest.raises(ValueError, match="2 different lengths"):
        vectors_of(pa.array([[1.0], [1.0, 2.0]]))
