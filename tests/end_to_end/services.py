"""Dagster's services as `deploy/compose.yaml` starts them, in processes of their own.

Belongs here: their commands, and their end. Does not belong here: PostgreSQL (``tests.servers.postgres``), what they are asked.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "deploy"


def command(name: str, replaced: dict[str, str]) -> list[str]:
    """What `compose.yaml` starts as a service, with other addresses."""
    words: list[str] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]["command"]
    program, *arguments = (replaced.get(word, word) for word in words)
    return [str(Path(sys.executable).parent / program), *arguments]


def workspace(file: Path, port: int) -> Path:
    """A copy of `workspace.yaml` for a code server on loopback; gives the file."""
    text = (DEPLOY / "workspace.yaml").read_text()
    file.write_text(text.replace("host: code", "host: 127.0.0.1").replace("port: 4000", f"port: {port}"))
    return file


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a service with all that it started, as the end of its container does: a code server leaves a child behind."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
