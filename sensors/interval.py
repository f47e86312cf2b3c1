"""How often sensors look: one variable for all of them, ``AROT_SENSOR_SECONDS`` (or ``arot ui --look-every``).

Belongs here: reading that variable. Each sensor has a default of its own.
"""

import os

VARIABLE = "AROT_SENSOR_SECONDS"
SHORTEST = 5
"""Dagster's daemon wakes every five seconds, so a shorter interval would promise what does not come."""


class SettingError(Exception):
    """An environment variable that cannot be used; the message names it and what it may be."""


def seconds_between_looks(default: int) -> int:
    """Seconds from one look of a sensor to the next: ``$AROT_SENSOR_SECONDS`` if that is set.

    Raises:
        SettingError: the variable is no whole number, or below ``SHORTEST``.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < SHORTEST:
        raise SettingError(
            f"{VARIABLE}={text!r}: must be a whole number of seconds, {SHORTEST} or more; unset it for the defaults"
        )
    return int(text)
