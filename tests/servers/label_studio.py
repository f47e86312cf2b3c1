"""A real Label Studio on loopback, with an administrator and nothing else.

Belongs here: installing it, starting and ending it, and what a person does there. Does not belong here: what should come of it.

It gets an environment of its own, in the user's cache, which all runs share: about a gigabyte, and a minute or two the first time.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from resources.own_environment import command_in_own_environment
from tests.waiting import until, work_of

RELEASE = "label-studio==1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arot-tests" / "label-studio"


class LabelStudioServer:
    """See the module; use as a context manager.

    Attributes:
        url: its address.
        token: the administrator's legacy token.
        email: the administrator's.
        password: the administrator's.
    """

    token = TOKEN
    email, password = "ann@example.org", "a-long-password"

    def __init__(self, home: Path) -> None:
        """Args: home: for its database, its uploads and its log.

        Raises:
            ToolError: it cannot be installed.
        """
        self._program = command_in_own_environment("label-studio", RELEASE, folder=CACHE)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = home / "label_studio.log"
        home.mkdir(exist_ok=True)
        own = {"PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
        self._environment = {k: v for k, v in os.environ.items() if k not in own} | {
            "LABEL_STUDIO_BASE_DATA_DIR": str(home / "data"),
            "LABEL_STUDIO_USERNAME": self.email,
            "LABEL_STUDIO_PASSWORD": self.password,
            "LABEL_STUDIO_USER_TOKEN": TOKEN,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "COLLECT_ANALYTICS": "false",
        }

    def __enter__(self) -> "LabelStudioServer":
        where = ["--internal-host", "127.0.0.1", "--port", str(self._port)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._program), "start", "--no-browser", *where],
                stdout=log, stderr=log, env=self._environment, start_new_session=True,
            )  # fmt: skip
        try:
            until("Label Studio", self._healthy, work_of(self._process.pid), told=self._log.read_text)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """A request of the administrator; gives the answer.

        Raises:
            HTTPError: it is refused.
        """
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = bytes(answer.read())
            told = answer.headers.get_content_type() == "application/json"
        return json.loads(said) if told and said else said

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """The tasks of a project, in order."""
        found = self.ask("GET", f"/api/tasks?project={project}&page_size=100")["tasks"]
        return sorted(found, key=lambda task: int(task["id"]))

    def annotate(self, task: int, kind: str, value: dict[str, Any], **fields: Any) -> int:
        """Answer a task as a person does there; gives the number of the annotation."""
        result = {"from_name": "rating", "to_name": "image", "type": kind, "value": value}
        body = {"result": [result], "lead_time": 2.5, **fields}
        return int(self.ask("POST", f"/api/tasks/{task}/annotations/", body)["id"])

    def correct(self, annotation: int, kind: str, value: dict[str, Any]) -> None:
        """Change an answer."""
        result = {"from_name": "rating", "to_name": "image", "type": kind, "value": value}
        self.ask("PATCH", f"/api/annotations/{annotation}/", {"result": [result]})

    def _healthy(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=60) as answer:
            return bool(json.load(answer)["status"] == "UP")
        return False
