"""Ctrl-C within a query is Ctrl-C, not an error of the query."""

import signal
import threading
import time

import duckdb
import pytest

from resources.defaults import Resources
from resources.warehouse.lake import Connection

ENDLESS = "select count(*) from range(1000000000000) where range % 7 = 8"


def test_interrupt_within_a_query_stops_the_work(resources: Resources, request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    raw = duckdb.connect()

    def interrupt() -> None:
        while raw.query_progress() < 0:  # the query has not begun
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    raw.execute("set enable_progress_bar = true")
    raw.execute("set enable_progress_bar_print = false")
    sender = threading.Thread(target=interrupt)
    with Connection(raw, resources.tables) as con, pytest.raises(KeyboardInterrupt):
        sender.start()
        con.execute(ENDLESS)
    sender.join()
