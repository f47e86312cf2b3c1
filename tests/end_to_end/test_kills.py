"""Each thing that a run on many machines needs is killed once, and nothing is lost; ``kills.py`` kills at random, many times."""

import os
import random
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest

from tests.end_to_end.kills import VICTIMS, kill_often
from tests.servers.postgres import programs

pytestmark = pytest.mark.slow

PHOTOS, SHARD = 60, 3


def test_whatever_is_killed_the_tables_are_those_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH"):  # set for workers
        monkeypatch.setenv(name, os.environ.get(name, ""))
    victims = cycle(VICTIMS)
    site, _, wrong = kill_often(
        tmp_path, len(VICTIMS), PHOTOS, SHARD, random.Random(0), lambda: [next(victims)], seconds=0.5
    )
    assert wrong == []
    assert site.killed.total() == len(VICTIMS)
    assert site.killed.keys() >= {*VICTIMS} - {"worker"}, "where no worker was at work, the driver was killed"
    assert Counter(site.killed)["worker"] <= 1
