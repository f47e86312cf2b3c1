"""Runs unibox's own ``concurrent_loads`` and ``ls`` for the storage benchmark; started by ``storage.py`` in unibox's environment.

Reads one JSON job per line (``{"load": [uri, …], "workers": 8}`` or ``{"list": uri}``), and responds with the seconds
that it took and how much was read. Endpoint and credentials are in the environment, where boto3 finds them.
"""

import contextlib
import io
import json
import sys
import time

if __name__ == "__main__":
    import unibox

    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            if "list" in job:
                found = unibox.ls(job["list"], debug_print=False)
                came = len(found)
            else:
                found = unibox.concurrent_loads(job["load"], num_workers=job["workers"], debug_print=False)
                came = sum(f is not None for f in found)
        print(json.dumps({"seconds": time.perf_counter() - started, "came": came}), flush=True)
