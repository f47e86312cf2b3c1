"""In which order, and in which pieces, tests are given to the workers of `make test`.

Belongs here: what takes long, and which files' tests share nothing. Does not belong here: what `make check` leaves out
(``tests/tiers.py``).

A worker works through one piece after the other: a file, whose tests may share a server or a store, or a single test of a file
in ``APART``. What takes longest starts first, so that at the end no worker waits for another.
"""

from xdist.scheduler import LoadFileScheduling

LONGEST_FIRST = (
    *("tests/docs/test_snippets.py", "tests/end_to_end/test_ui.py", "tests/end_to_end/test_s3_store.py"),
    *("tests/end_to_end/test_interruptions.py", "tests/docs/", "tests/end_to_end/test_command_line.py"),
    *("tests/ratings/test_label_studio.py", "tests/ratings/test_review_in_a_browser.py"),
    *("tests/end_to_end/", "tests/test_faults_stay_apart.py", "tests/exports/", "tests/resources/test_s3"),
    *("tests/subsets/", "tests/classifiers/", "tests/sensors/", "tests/clips/", "tests/metrics/"),
)
"""How the ids of tests begin that take minutes, and of those that take tens of seconds; all others come after them."""
APART = (
    *("tests/end_to_end/test_captions.py", "tests/end_to_end/test_hub_run.py"),
    *("tests/end_to_end/test_interruptions.py", "tests/end_to_end/test_killed_runs.py"),
    *("tests/end_to_end/test_s3_store.py", "tests/end_to_end/test_two_runs.py", "tests/test_faults_stay_apart.py"),
)
"""Files of long tests, each of which makes all that it needs."""


def place(test: str) -> int:
    """Where a test stands among those that take long, by its id."""
    return next((n for n, start in enumerate(LONGEST_FIRST) if test.startswith(start)), len(LONGEST_FIRST))


def piece(test: str) -> str:
    """What is given to one worker together with a test: its file, or nothing else."""
    file = test.partition("::")[0]
    return test if file in APART else file


class Pieces(LoadFileScheduling):
    """Gives the workers ``piece`` after ``piece``, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return piece(nodeid)
