"""The tests, and what goes for every process of theirs before anything else is imported.

Bytecode is kept, whatever the caller's environment says: compiling the tests and the package again costs ten seconds of each
pytest process and one of each command that tests start.
"""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
