"""A question of a report, as data: a condition on the columns of tables, with its advice.

Belongs here: the data class, and the question that differs between media in its words alone. Does not belong here: the
questions that are asked of every medium (``report/questions.py``) and of one (``media/image/questions.py``), and answering them
(``report/answers.py``).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class QualityQuestion:
    """One thing that may be wrong with files.

    Attributes:
        name: a word for the command line and anchors.
        title: a description of what it finds; ``{medium}`` stands for the name of the medium.
        where: a SQL condition over the columns of ``table`` and of ``samples``; ``{dataset}`` stands for the schema.
        table: the table that it needs besides ``samples``.
        order: an SQL expression; the worst come first.
        shows: an SQL expression, the text below each thumbnail.
        advice: what to do about it.
        scope: ``all`` rows of samples, or only those that are ``ok``.
    """

    name: str
    title: str
    where: str
    order: str
    shows: str
    advice: str
    table: str = "samples"
    scope: Literal["ok", "all"] = "ok"


def unsupported(kinds: str) -> QualityQuestion:
    """The question after files that a medium does not read.

    Args:
        kinds: which these are, in words.
    """
    return QualityQuestion(
        "unsupported",
        f"files of a kind that is not read: {kinds}",
        "samples.status = 'unsupported'",
        "reason",
        "coalesce(reason, samples.status)",
        "nothing needs to be done: they are not failed and `arot retry` leaves them; convert those that you want",
        scope="all",
    )
