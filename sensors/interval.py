"""How often sensors check: one variable for all of them, ``AROT_SENSOR_SECONDS`` (or ``arot ui --look-every``).

Belongs here: reading that variable. Each sensor has its own default.
"""

import os

VARIABLE = "AROT_SENSOR_SECONDS"
SHORTEST = 5
"""Dagster's daemon wakes up every five seconds, so a shorter interval would have no effect."""


class SettingError(Exception):
    """An environment variable with an invalid value; the message names it and the valid values."""


def seconds_between_looks(default: int) -> int:
    """Seconds between two checks of a sensor: ``$AROT_SENSOR_SECONDS`` if that is set.

    Raises:
        SettingError: the variable is not a whole number, or below ``SHORTEST``.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < SHORTEST:
        raise SettingError(
            f"{VARIABLE}={text!r}: must be a whole number of seconds, {SHORTEST} or more; unset it for the defaults"
        )
    return int(text)
