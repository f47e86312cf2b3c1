"""Runs procslib's own cv2 metrics for the image benchmark; started by ``image_metrics.py`` in procslib's environment.

Its registry cannot import the key, so the class is called directly. It inherits from a class that imports torch, which
procslib does not declare: the folder passed as the first argument is last in the search path and provides only torch.
Reads one JSON list of paths per line, and responds with the seconds that ``infer_many`` took and how many rows failed.
"""

import contextlib
import io
import json
import sys
import time

if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    workers = int(sys.argv[2])
    from procslib.models.cv2_wrapper import OpenCVMetricsInference

    metrics = OpenCVMetricsInference()
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            rows = metrics.infer_many(json.loads(line), batch_size=workers)
        seconds = time.perf_counter() - started
        failed = int(rows["error"].notna().sum()) if "error" in rows else 0
        print(json.dumps({"seconds": seconds, "failed": failed, "rows": len(rows)}), flush=True)
