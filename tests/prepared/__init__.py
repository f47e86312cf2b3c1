"""Commands that start at once: Python processes forked from one that has imported the libraries already.

Belongs here: the process that has them (``server.py``), what tests hold of a command (``python.py``), and what stands for one in
a shell (``shell.py``). Does not belong here: which commands tests run.

A command of `arot` spends seconds on importing Dagster, pandas, numba and PyTorch, and the tests run hundreds. Everything else
is as in a process of its own: it has its own process id, environment, folder, signals and exit status, and imports the
project's modules itself, from where PYTHONPATH says.
"""
