"""What a person can act on, as Dagster shows it: the one line that the command line and notebooks show too.

Belongs here: turning an ``ArotError`` of an asset's or a check's body into a failed step. Does not belong here: the errors.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from resources.errors import ArotError

P = ParamSpec("P")
R = TypeVar("R")


def fails_in_words(body: Callable[P, R]) -> Callable[P, R]:
    """The body of an asset or a check, whose ``ArotError`` fails the step with its own line: thing, cause, remedy.

    The step is not tried again, since nothing will be other than before; the error stays the failure's cause. Any other
    exception is a fault of ours and keeps its traceback.
    """
    if inspect.isgeneratorfunction(body):

        @wraps(body)
        def results(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            with _told():
                yield from cast("Iterator[Any]", body(*args, **kwargs))

        return cast("Callable[P, R]", results)

    @wraps(body)
    def result(*args: P.args, **kwargs: P.kwargs) -> R:
        with _told():
            return body(*args, **kwargs)

    return result


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ArotError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
