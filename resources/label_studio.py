"""A Label Studio server: what people annotated there, and tasks for them.

Belongs here: the requests. Does not belong here: what annotations mean (``arot_assets.ratings.sources.label_studio``).

A token is either a legacy one, sent as it is, or a personal access token, which is exchanged for one of some minutes. Pictures
are uploaded as files and tasks name their addresses: inside the tasks, every look for new annotations would bring them back.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from resources.errors import ArotError
from resources.storage.http.rules import redacted

SECONDS = 60.0
SHOWN = 200
"""Characters of a refusal that are shown."""
AT_ONCE = 20
"""Pictures that are sent in one request."""


class LabelStudioError(ArotError):
    """The server does not answer, or refuses; the message says what to do."""


@dataclass
class LabelStudio:
    """A server.

    Attributes:
        url: its address, as ``http://127.0.0.1:8080``.
        key_variable: the environment variable that holds a token; empty for none.
    """

    url: str
    key_variable: str = ""
    _access: str = field(default="", repr=False)

    def annotations(self, project: int) -> list[dict[str, Any]]:
        """The project's tasks with their annotations, as the JSON export has them.

        Raises:
            LabelStudioError: the server does not answer, refuses, or has no such project.
        """
        found = self._ask("GET", f"/api/projects/{project}/export?exportType=JSON")
        return found if isinstance(found, list) else []

    def identity(self, project: int) -> str:
        """The project's number and when it was made: a server that was set up anew has other projects of the same numbers.

        Raises:
            LabelStudioError: the server does not answer, refuses, or has no such project.
        """
        return f"project {project} of {self._ask('GET', f'/api/projects/{project}/')['created_at']}"

    def people(self) -> dict[int, str]:
        """The e-mail address of each user, by the number that annotations name.

        Raises:
            LabelStudioError: the server does not answer, or refuses.
        """
        return {int(user["id"]): str(user.get("email") or user["id"]) for user in self._ask("GET", "/api/users/")}

    def create(self, title: str) -> int:
        """A new project that shows pictures and asks nothing yet; returns its number.

        Args:
            title: three letters or more, of which the server keeps 50.

        Raises:
            LabelStudioError: the server does not answer, or refuses.
        """
        # before it has a question: files are refused where a task has several pictures
        body = {"title": title[:50], "label_config": '<View><Image name="image" value="$image"/></View>'}
        return int(self._ask("POST", "/api/projects/", body)["id"])

    def delete(self, project: int) -> None:
        """Remove a project with all that is in it.

        Raises:
            LabelStudioError: the server does not answer, refuses, or has no such project.
        """
        self._ask("DELETE", f"/api/projects/{project}/")

    def show(self, project: int, label_config: str) -> None:
        """Set what people see in a project, and what they are asked.

        Args:
            project: its number.
            label_config: in Label Studio's XML.

        Raises:
            LabelStudioError: the server does not answer, or refuses.
        """
        self._ask("PATCH", f"/api/projects/{project}/", {"label_config": label_config})

    def upload(self, project: int, pictures: Sequence[Path]) -> dict[str, str]:
        """Name of each picture's file -> the address under which tasks of this project show it.

        Raises:
            LabelStudioError: the server does not answer, refuses, or did not keep one of them.
        """
        found: dict[str, str] = {}
        for start in range(0, len(pictures), AT_ONCE):
            some = {path.name: path.read_bytes() for path in pictures[start : start + AT_ONCE]}
            files = [(name, (name, data, "image/jpeg")) for name, data in some.items()]
            self._ask("POST", f"/api/projects/{project}/import?commit_to_project=false", files=files)
        for kept in self._ask("GET", f"/api/projects/{project}/file-uploads?all=true"):
            address = str(kept["file"])
            found[address.rpartition("/")[2].partition("-")[2]] = f"/data/{address}"
        lost = [path.name for path in pictures if path.name not in found]
        if lost:
            raise LabelStudioError(
                f"{redacted(self.url)} kept {len(pictures) - len(lost):,} of {len(pictures):,} pictures, not {lost[0]}; look "
                "into the server's log"
            )
        return found

    def add(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Add tasks to a project.

        Args:
            project: its number.
            tasks: the data of each: addresses that browsers can load, and the sample's id.

        Raises:
            LabelStudioError: the server does not answer, refuses, or took fewer.
        """
        taken = self._ask("POST", f"/api/projects/{project}/import", list(tasks)).get("task_count")
        if taken != len(tasks):
            raise LabelStudioError(f"{redacted(self.url)} took {taken} of {len(tasks):,} tasks; look into its log")

    def _ask(self, method: str, path: str, body: object = None, files: Any = None) -> Any:
        """The answer to a request, read as JSON."""
        answer = self._send(method, path, body, files)
        if answer.status == 401 and self._access:  # it holds for some minutes
            self._access = ""
            answer = self._send(method, path, body, files)
        shown = redacted(self.url)
        if answer.status in (401, 403):
            raise LabelStudioError(self._refusal())
        if answer.status == 404 and path.startswith("/api/projects/"):
            number = path.split("/")[3]
            raise LabelStudioError(f"{shown} has no project {number}, or not for this account; was it deleted?")
        if answer.status >= 400:
            said = answer.data.decode("utf-8", "replace")[:SHOWN]
            raise LabelStudioError(f"{shown}{path} answered {answer.status}: {said}; check project and address")
        return self._read(answer, path)

    def _read(self, answer: urllib3.BaseHTTPResponse, path: str) -> Any:
        try:
            return json.loads(answer.data) if answer.status != 204 else None
        except ValueError as error:
            raise LabelStudioError(f"{redacted(self.url)}{path} answered with no JSON; is it Label Studio?") from error

    def _refusal(self) -> str:
        variable = self.key_variable or "a key variable"
        why = "it accepts no such token" if os.environ.get(self.key_variable) else "no token is given"
        return f"{redacted(self.url)} refuses: {why}; set {variable} to an access token of your account there"

    def _send(self, method: str, path: str, body: object, files: Any) -> urllib3.BaseHTTPResponse:
        headers = self._authorization()
        if files is not None:
            return self._request(method, path, headers, fields=files)
        data = None if body is None else json.dumps(body).encode()
        return self._request(method, path, {"Content-Type": "application/json", **headers}, body=data)

    def _authorization(self) -> dict[str, str]:
        token = os.environ.get(self.key_variable, "").strip() if self.key_variable else ""
        if token.count(".") != 2:
            return {"Authorization": f"Token {token}"} if token else {}
        if not self._access:
            data = json.dumps({"refresh": token}).encode()
            answer = self._request("POST", "/api/token/refresh/", {"Content-Type": "application/json"}, body=data)
            if answer.status >= 400:
                raise LabelStudioError(self._refusal())
            self._access = str(self._read(answer, "/api/token/refresh/")["access"])
        return {"Authorization": f"Bearer {self._access}"}

    def _request(self, method: str, path: str, headers: Mapping[str, str], **data: Any) -> urllib3.BaseHTTPResponse:
        try:
            return urllib3.request(method, f"{self.url}{path}", headers=headers, timeout=SECONDS, retries=False, **data)
        except HTTPError as error:
            said = f"{redacted(self.url)} does not answer: {error}; is Label Studio running there?"
            raise LabelStudioError(said) from error
