"""The one family of errors that are meant for users.

Belongs here: the base class, which the command line, Dagster and notebooks show as one line. Does not belong here: the errors
themselves, which are defined beside the code that raises them.
"""


class ArotError(Exception):
    """An error that the user can act on; the message names the thing, the cause and the remedy.

    Any other exception is a bug in arot, and keeps its traceback.
    """
