"""A training that an engine is given is made from what it was decided by, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from arot_assets.classifiers.promotion import classifier_file, latest
from arot_assets.classifiers.trainers import TrainingError
from tests.conftest import Dataset
from tests.end_to_end.on_cluster import IMAGES, trained
from tests.engines import Watched


def test_labels_that_change_while_a_machine_is_waited_for_are_told_and_nothing_is_stored(dataset: Dataset) -> None:
    dataset.run("phash")
    tables = dataset.resources.tables

    def relabelled(work: Callable[[Any], Any], unit: Any) -> Any:
        place = classifier_file("kind", "labels.parquet")
        tables.write(tables.read(place).slice(1), place)
        return work(unit)

    late = replace(dataset.resources, compute=Watched(around=relabelled))
    with pytest.raises(TrainingError, match="kind: its labels were read anew while it was to be trained; run it again"):
        trained(late, **IMAGES)
    assert latest(tables, "kind") is None
