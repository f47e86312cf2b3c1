"""A Label Studio server: what people annotated there, and tasks for them.

Belongs here: the requests. Does not belong here: what annotations mean (``arot_assets.ratings.sources.label_studio``).
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from resources.errors import ArotError
from resources.storage.http.rules import redacted

SECONDS = 60.0
SHOWN = 200
"""Characters of a refusal that are shown."""


class LabelStudioError(ArotError):
    """The server does not answer, or refuses; the message says what to do."""


@dataclass(frozen=True)
class LabelStudio:
    """A server.

    Attributes:
        url: its address, as ``http://127.0.0.1:8080``.
        key_variable: the environment variable that holds a token; empty for none.
    """

    url: str
    key_variable: str = ""

    def annotations(self, project: int) -> list[dict[str, Any]]:
        """The project's tasks with their annotations, as the JSON export has them.

        Raises:
            LabelStudioError: the server does not answer, refuses, or has no such project.
        """
        found = self._ask("GET", f"/api/projects/{project}/export?exportType=JSON")
        return found if isinstance(found, list) else []

    def create(self, title: str, label_config: str, tasks: Sequence[Mapping[str, Any]]) -> int:
        """A new project with these tasks; returns its number.

        Args:
            title: three letters or more.
            label_config: what people see and choose, in Label Studio's XML.
            tasks: the data of each: addresses that browsers can load, and the sample's id.

        Raises:
            LabelStudioError: as for ``annotations``.
        """
        project = int(self._ask("POST", "/api/projects", {"title": title, "label_config": label_config})["id"])
        self._ask("POST", f"/api/projects/{project}/import", list(tasks))
        return project

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        token = os.environ.get(self.key_variable, "") if self.key_variable else ""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Token {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        shown = redacted(self.url)
        try:
            answer = urllib3.request(
                method, f"{self.url}{path}", body=data, headers=headers, timeout=SECONDS, retries=False
            )
        except HTTPError as error:
            raise LabelStudioError(f"{shown} does not answer: {error}; is Label Studio running there?") from error
        if answer.status in (401, 403):
            raise LabelStudioError(
                f"{shown} refuses; set {self.key_variable or 'a key variable'} to a token of your account"
            )
        if answer.status >= 400:
            said = answer.data.decode("utf-8", "replace")[:SHOWN]
            raise LabelStudioError(f"{shown}{path} answered {answer.status}: {said}; check project and address")
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise LabelStudioError(f"{shown}{path} answered with no JSON; is it Label Studio?") from error
