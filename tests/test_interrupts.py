"""An interrupt that arrives where Python cannot raise it stops the work all the same."""

import signal
import sys
import time
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from arot_assets.cli.interrupts import interrupts_kept
from arot_assets.cli.main import main


class Dropped:
    """An object in whose finalizer Ctrl-C arrives."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


def test_interrupt_within_a_finalizer_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_value))
    other = ValueError("of somebody else")
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where tests run in a script's background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with interrupts_kept():
        Dropped(other)
        with pytest.raises(KeyboardInterrupt):
            Dropped(KeyboardInterrupt())
            time.sleep(60)
    Dropped(other)
    assert told == [other, other]


def pressed(*_: object) -> None:
    raise KeyboardInterrupt


def pressed_while_importing(*_: object) -> None:
    try:
        pressed()
    except KeyboardInterrupt as cause:
        raise ImportError("initialization failed") from cause


@pytest.mark.parametrize("stop", [pressed, pressed_while_importing])
def test_stopped_command_says_so_and_ends_as_shells_expect(
    stop: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arot_assets.progress._kept", {})  # of tests that stopped work in this process
    monkeypatch.setattr("arot_assets.cli.session.load_declarations", stop)
    done = CliRunner().invoke(main, ["run", "demo"])
    assert done.exit_code == 130 and done.output == "\nstopped\n"
