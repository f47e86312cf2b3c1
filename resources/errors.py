"""The one family of errors that are meant for a person.

Belongs here: the base class, which command line, Dagster and notebooks show as one line. Does not belong here: the errors
themselves, which stand beside the code that raises them.
"""


class ArotError(Exception):
    """Something that a person can act on; the message names the thing, the cause and the remedy.

    What is raised otherwise is a fault of ours, and keeps its traceback.
    """
