"""A command that runs Dagster in its own process stays one that can be ended."""

import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.cli.launch import materialize


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """Signals as a shell leaves them for a command that its script starts with ``&``."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_ends_a_command_in_the_background_of_a_script_after_a_run(
    in_the_background: None, tmp_path: Path
) -> None:
    @dg.asset
    def one() -> None:
        """Nothing."""

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        outcome = materialize(dg.Definitions([one]), instance, [one.key])
    assert not outcome.problems
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_run_that_is_interrupted_within_a_library_is_interrupted(tmp_path: Path) -> None:
    @dg.asset
    def one() -> None:
        """Interrupted while a library is imported, which says so in its own way."""
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as cause:
            raise ImportError("initialization failed") from cause

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance, pytest.raises(KeyboardInterrupt):
        materialize(dg.Definitions([one]), instance, [one.key])
