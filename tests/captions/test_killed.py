"""A captioner that is killed, again and again, pays for no image twice."""

import os
import signal
import subprocess
import sys
from collections import Counter
from functools import partial

from tests.captions.conftest import Asked
from tests.conftest import REPOSITORY
from tests.waiting import until, work_of

CONCURRENCY = 4


def test_killed_runs_pay_for_no_image_twice(asked: Asked) -> None:
    asked.server.behaviour = lambda request: "slow 0.1"
    tables = asked.dataset.resources.tables
    command = [sys.executable, "-m", "tests.captions.killed", tables.root, str(asked.dataset.source), str(asked.prompt)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for answers in (3, 8):
        process = subprocess.Popen([*command, asked.server.url], cwd=REPOSITORY, env=environment)
        enough = partial(_paid, asked, answers)
        until("answers", enough, work_of(process.pid))
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = asked.run()
    assert found.rows == len(asked.rows()) == 12 and found.failures == {}
    assert Counter(asked.server.paid.values()) == {1: 12}
    asked_again = [count for count in Counter(r.image for r in asked.server.requests).values() if count > 1]
    assert len(asked_again) <= 2 * CONCURRENCY, "only questions under way when it was killed are asked again"


def _paid(asked: Asked, least: int) -> bool:
    return sum(asked.server.paid.values()) >= least
