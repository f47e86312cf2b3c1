"""An interrupt that arrives where Python cannot raise it stops the work all the same."""

import sys
import time

import pytest

from arot_assets.cli.interrupts import interrupts_kept


class Dropped:
    """An object in whose finalizer Ctrl-C arrives."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


def test_interrupt_within_a_finalizer_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_value))
    other = ValueError("of somebody else")
    with interrupts_kept():
        Dropped(other)
        with pytest.raises(KeyboardInterrupt):
            Dropped(KeyboardInterrupt())
            time.sleep(60)
    Dropped(other)
    assert told == [other, other]
