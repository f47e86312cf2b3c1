"""A real ``transformers serve`` on loopback, with one model of a folder, on the CPU.

Belongs here: starting and ending the process. Does not belong here: the model (``tests/models/vlm.py``).
"""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.waiting import until, work_of


class TransformersServe:
    """See the module; use as a context manager.

    Attributes:
        url: the base address of its API.
        model: the name that it answers to: the model's folder.
    """

    def __init__(self, model: Path, home: Path) -> None:
        """Args: model: its folder; home: for the server's cache and log."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url, self.model = f"http://127.0.0.1:{port}/v1", str(model)
        self._log = home / "serve.log"
        (home / "hub").mkdir(parents=True)  # without it the server's own list of models is an error
        self._environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", self.model, "--device", "cpu"]
        self._command = [*command, "--host", "127.0.0.1", "--port", str(port)]

    def __enter__(self) -> "TransformersServe":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        try:
            until("transformers serve", self._healthy, work_of(self._process.pid), told=self._log.read_text)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text()

    def _healthy(self) -> bool:
        assert self._process.poll() is None, self.said
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/health") as answer:
            return bool(answer.status == 200)
        return False
