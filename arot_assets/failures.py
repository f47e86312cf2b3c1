"""Errors that users can act on, shown in Dagster as the same line as on the command line and in notebooks.

Belongs here: turning an ``ArotError`` in the body of an asset or check into a failed step. Does not belong here: the
errors.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from resources.errors import ArotError, refusal

P = ParamSpec("P")
R = TypeVar("R")


def fails_in_words(body: Callable[P, R]) -> Callable[P, R]:
    """Decorate the body of an asset or check so that an ``ArotError``, or what the machine refuses, fails the step with its own
    line: thing, cause, remedy.

    The step is not retried, since nothing would change; the error remains the cause of the failure. Any other exception
    is a bug in arot and keeps its traceback.
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
    except Exception as error:
        told = error if isinstance(error, ArotError) else refusal(error)
        if told is None:
            raise
        raise dg.Failure(str(told), allow_retries=False) from error
