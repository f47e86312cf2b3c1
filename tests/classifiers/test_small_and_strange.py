"""Ten rows, one class, NaN, labels that contradict each other: a model with wide intervals, or clear words, and never a crash."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.promotion import latest, read_json
from arot_assets.classifiers.trainers import TrainingError
from resources.errors import ArotError
from resources.tables import TableRef
from tests.classifiers.test_scores_elsewhere import QUICK, trained
from tests.conftest import Dataset

ROWS = "(select sample_id, row_number() over (order by sample_id) as k from d.samples where status = 'ok')"
"""The twelve pictures, numbered."""


def one(query: str, **fields: Any) -> ClassifierDeclaration:
    said = {"name": "small", "dataset": "d", "labels": {"from_sql": query}, "settings": QUICK, "promote_if": {}}
    return ClassifierDeclaration.model_validate({**said, **fields})


@pytest.fixture
def ten(dataset: Dataset) -> Dataset:
    """Twelve pictures with hashes and vectors."""
    dataset.run("phash", "embedding")
    return dataset


@pytest.mark.parametrize(
    ("label", "fields"),
    [
        ("(k % 2)::text as label", {}),
        ("k as value", {"task": "regression"}),
        ("k as value", {"task": "regression", "settings": {**QUICK, "loss": "pairwise"}}),
        ("(k % 3)::text as label", {"task": "ordinal"}),
        ("(k % 3)::text as label", {"task": "ordinal", "settings": {**QUICK, "loss": "coral"}}),
        ("if(k % 2 = 0, ['even'], []) as label", {"task": "multi_label"}),
        ("k as value", {"task": "regression", "recipe": "mlp-head"}),
    ],
)
def test_ten_rows_train_every_task(ten: Dataset, label: str, fields: dict[str, Any]) -> None:
    query = f"select sample_id, {label} from {ROWS} where k <= 10"
    if fields.get("task") == "ordinal":
        query = query.replace("k <= 10", "k <= 12")
    trained(ten.resources, one(query, **fields))
    last = latest(ten.resources.tables, "small")
    assert last is not None
    found = read_json(ten.resources.tables, "small", last.digest, "evaluation.json")
    assert found["samples"] >= 1 and found["figures"]


@pytest.mark.parametrize(
    ("query", "fields", "message"),
    [
        (f"select sample_id, 'good' as label from {ROWS}", {}, "needs two classes or more, found: good"),
        (f"select sample_id, 5 as value from {ROWS}", {"task": "regression"}, "all 12 values are equal"),
        (
            f"select sample_id, if(k = 3, 'nan'::double, k) as value from {ROWS}",
            {"task": "regression"},
            "1 values are not finite",
        ),
        (
            f"select sample_id, 'a' as label from {ROWS} union all select sample_id, 'b' from {ROWS} where k = 2",
            {},
            "has two labels, 'a' and 'b'; make the query return one row",
        ),
        (f"select sample_id, (k = 1)::text as label from {ROWS}", {}, "class 'true' has 1 images"),
        (f"select sample_id, k::text as label from {ROWS} where k < 3", {}, "has 1 images"),
        (
            f"select sample_id, k as value from {ROWS} where k < 3",
            {"task": "regression"},
            "class 'all values' has 2 images",
        ),
        (f"select sample_id, k as value from {ROWS} where k > 99", {"task": "regression"}, "all 0 values are equal"),
    ],
)
def test_labels_that_teach_nothing_are_said(ten: Dataset, query: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        trained(ten.resources, one(query, **fields))


def spoil(ten: Dataset, count: int) -> None:
    """Make some vectors NaN, as a model that overflows leaves them."""
    left = count
    for shard in ten.shards():
        ref = TableRef("d", "embedding", shard)
        table, footer = ten.resources.tables.read(ref), ten.resources.tables.footer(ref)
        rows = table.to_pylist()
        for row in rows:
            if left:
                row["vector"], left = [float("nan")] * len(row["vector"]), left - 1
        ten.resources.tables.write(pa.Table.from_pylist(rows, table.schema), ref, footer=footer)
    ten.resources.warehouse.refresh()


def test_vectors_that_are_not_finite_are_left_out_and_counted(ten: Dataset) -> None:
    spoil(ten, 2)
    declaration = one(f"select sample_id, k as value from {ROWS}", task="regression")
    digest = trained(ten.resources, declaration)
    about = read_json(ten.resources.tables, "small", digest, "about.json")
    assert about["left_out"] == 2 and sum(about["samples"].values()) == 10
    assert np.isfinite(about["chosen"]["val_loss"])
    spoil(ten, 12)
    with pytest.raises(ArotError, match="no sample of the split train has an input"):
        trained(ten.resources, declaration.model_copy(update={"settings": {**QUICK, "seed": 1}}))


def test_rate_that_diverges_is_said_and_a_lower_one_is_taken(ten: Dataset) -> None:
    wild = {**QUICK, "learning_rates": [50.0]}
    digest = trained(ten.resources, one(f"select sample_id, k as value from {ROWS}", task="regression", settings=wild))
    chosen = read_json(ten.resources.tables, "small", digest, "about.json")["chosen"]
    assert chosen["learning_rate"] < 50 and chosen["rates"].startswith("divided by")
    hopeless = {**QUICK, "learning_rates": [1e12], "optimizer": "sgd"}
    with pytest.raises(TrainingError, match="small: every head diverged, even with rates of 1e\\+09"):
        trained(ten.resources, one(f"select sample_id, k as value from {ROWS}", task="regression", settings=hopeless))
