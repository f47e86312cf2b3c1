"""A model is compared with the best column of a table, which the training samples choose."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from arot_assets.classifiers import baselines
from arot_assets.classifiers.data import Data
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import Targets
from arot_assets.datasets.changes import SCHEMA as INVENTORY
from arot_assets.datasets.samples import samples_schema
from arot_assets.media.image.medium import IMAGE
from resources.defaults import Resources
from resources.tables import TableRef

FIELDS = {"name": "q", "dataset": "d", "task": "regression", "labels": {"from_sql": "select 1"}}


def test_best_column_of_a_table_is_chosen_by_the_training_samples_alone(resources: Resources) -> None:
    ids = [f"{k:032x}" for k in range(30)]
    truth = np.arange(30, dtype=np.float32)
    late = np.where(truth < 20, (truth * 7) % 20, truth)  # follows the test samples only
    table = {
        "sample_id": ids,
        "status": ["ok"] * 30,
        "late": late,
        "falling": pa.array([None, *(-(truth[1:] ** 3))], pa.float32()),
        "constant": np.ones(30, np.float32),
    }
    resources.tables.write(pa.Table.from_pylist([], INVENTORY), TableRef("d", "inventory"))
    resources.tables.write(pa.Table.from_pylist([], samples_schema(IMAGE)), TableRef("d", "samples", "00000"))
    resources.tables.write(pa.table(table), TableRef("d", "cv2", "00000"))
    declaration = ClassifierDeclaration.model_validate({**FIELDS, "baselines": ["cv2.*"]})
    job = SimpleNamespace(
        task=Task("regression", (), "mse"), train=np.arange(20), targets=Targets(truth, np.ones(30, np.float32))
    )
    data = cast(Any, Data)(job, ids, ids, np.arange(20, 30), {}, 0, "x")
    found = baselines.predictions(resources.warehouse, declaration, data)
    assert list(found) == ["mean", "cv2.falling"]
    scores = found["cv2.falling"].scores
    assert scores is not None and (np.diff(scores) > 0).all()
    with pytest.raises(LabelError, match=r"baseline 'none\.\*' cannot be read"):
        baselines.predictions(resources.warehouse, declaration.model_copy(update={"baselines": ["none.*"]}), data)


def test_classes_have_no_best_column() -> None:
    with pytest.raises(ValidationError, match="needs an order, which classification has not"):
        ClassifierDeclaration.model_validate({**FIELDS, "task": "classification", "baselines": ["cv2.*"]})
