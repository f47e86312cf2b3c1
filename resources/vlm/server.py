"""A vision-language model behind an OpenAI-compatible server: vLLM, ``transformers serve``, SGLang, hosted ones.

Belongs here: the requests and answers of ``/chat/completions``, what is tried again, and finding out before any work that the
server can be used. Does not belong here: prompts, and what is done with answers.

Images travel as data URLs, so that the server reaches nothing. Text of the system and of the prompt's fixed part comes before the
image only in ``system``, which servers cache as a prefix. An answer is never trusted to follow a schema: several servers accept
``response_format`` and ignore it.
"""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from resources.retry import Retry, retry_after
from resources.vlm.pace import RequestLimit
from resources.vlm.question import Answer, NoAnswerError, Question, Sampling, VlmError

LONGEST_WAIT = 60.0
FEW = 2
"""Tries for a failure that another try seldom mends: a server's own error may be due to this very question."""
OVERLOADED = (429, 503, 529)
TRIED_AGAIN = (408, 409, 425, 500, 502, 504, *OVERLOADED)
TRUE_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "number": {"type": "integer"}},
    "required": ["colour", "number"],
    "additionalProperties": False,
}
"""What the check asks for while its prompt asks for something else: only a server that enforces schemas answers with it."""


@dataclass(frozen=True)
class ServerSettings:
    """How a server is reached.

    Attributes:
        url: base address of its API, as ``http://127.0.0.1:8000/v1``.
        model: the name that requests ask for.
        key_variable: the environment variable with the key; empty for none.
        concurrency: requests under way at the same time at most.
        attempts: tries of one question before it has no answer.
        seconds: silence of the server that is put up with.
    """

    url: str
    model: str
    key_variable: str = ""
    concurrency: int = 16
    attempts: int = 6
    seconds: float = 300.0


class VlmServer:
    """See the module. Safe in threads, which share its connections and its pace."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.structured = False
        self._checked = False
        self.pace = RequestLimit(settings.concurrency)
        timeout = urllib3.Timeout(connect=min(15.0, settings.seconds), read=settings.seconds)
        self._pool = urllib3.PoolManager(maxsize=settings.concurrency, timeout=timeout, retries=False)

    def check(self, schema: Mapping[str, Any] | None) -> None:
        """See ``Vlm.check``: the address answers, the key is right, the model is there; and whether schemas are enforced.

        A server is asked once, however many shards are worked on. What that costs is not part of any budget.
        """
        if self._checked:
            return
        self._check_models()
        if schema is not None:
            # an instruction that contradicts the schema tells servers that enforce it from those that ignore it
            said = self.ask(
                Question("Answer with the single word hello.", schema=TRUE_SCHEMA, sampling=Sampling(max_tokens=64)),
                structured=True,
            )
            self.structured = _is_object(said.text)
        self._checked = True

    def ask(self, question: Question, structured: bool | None = None) -> Answer:
        """See ``Vlm.ask``; ``structured`` decides whether the schema is sent, default whether the server enforces it."""
        send = self.structured if structured is None else structured
        body = json.dumps(_body(question, self.settings.model, send)).encode()
        retry = Retry(self.settings.attempts, first=1.0, longest=LONGEST_WAIT)
        while True:
            try:
                with self.pace.turn():
                    answer = self._exchange(body, question.key, retry.failed + 1)
                self.pace.went_well()
                return answer
            except _AnotherTry as error:
                if error.overloaded:
                    self.pace.overloaded(error.wait)
                if not retry.again(FEW if error.seldom_mended else None, error.wait):
                    raise NoAnswerError(error.reason, retry.failed) from error

    def _exchange(self, body: bytes, key: str, attempt: int) -> Answer:
        headers = {"Content-Type": "application/json", **self._authorization()}
        if key:
            headers["Idempotency-Key"] = key
        try:
            response = self._pool.request("POST", f"{self.settings.url}/chat/completions", body=body, headers=headers)
            data = response.data
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise _AnotherTry(f"unreachable: {_host(self.settings.url)}", overloaded=True) from error
        except ReadTimeoutError as error:
            raise _AnotherTry(f"timed_out: no answer within {self.settings.seconds:g} s", seldom_mended=True) from error
        except HTTPError as error:
            raise _AnotherTry(f"connection_lost: {type(error).__name__}") from error
        if response.status != 200:
            self._raise_status(response.status, data, response.headers.get("Retry-After"))
        return _answer(data, attempt)

    def _raise_status(self, status: int, data: bytes, asked: str | None) -> None:
        said = _message(data)
        if status in (401, 403):
            key = self.settings.key_variable
            remedy = f"check the key in ${key}" if key else "name the environment variable with its key: `key_variable`"
            raise VlmError(f"server '{self.settings.url}' refuses access ({status}: {said}); {remedy}")
        if status == 404:
            raise VlmError(
                f"server '{self.settings.url}' has no model '{self.settings.model}' or no chat completions ({said}); the "
                "url ends in /v1 for most servers"
            )
        if status == 402 or (status == 429 and "insufficient_quota" in data.decode("utf-8", "replace")):
            raise VlmError(f"server '{self.settings.url}': the account has no credit left ({said})")
        reason = f"http_{status}: {said}"
        if status in TRIED_AGAIN:
            raise _AnotherTry(
                reason, retry_after(asked), overloaded=status in OVERLOADED, seldom_mended=status in (500, 409)
            )
        raise NoAnswerError(reason, 1)

    def _check_models(self) -> None:
        """Ask which models there are. Servers that cannot say are believed."""
        url = f"{self.settings.url}/models"
        try:
            response = self._pool.request("GET", url, headers=self._authorization())
        except HTTPError as error:
            raise VlmError(
                f"server '{self.settings.url}' does not answer ({type(error).__name__}); start it, or correct `url`"
            ) from error
        if response.status in (401, 403):
            self._raise_status(response.status, response.data, None)
        if response.status != 200:
            return
        try:
            names = [str(one["id"]) for one in json.loads(response.data)["data"]]
        except (ValueError, KeyError, TypeError):
            return
        if names and self.settings.model not in names:
            close = get_close_matches(self.settings.model, names, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise VlmError(
                f"server '{self.settings.url}' has no model '{self.settings.model}'; {hint}it has: {', '.join(names[:8])}"
            )

    def _authorization(self) -> dict[str, str]:
        variable = self.settings.key_variable
        if not variable:
            return {}
        key = os.environ.get(variable, "")
        if not key:
            raise VlmError(f"server '{self.settings.url}': ${variable} is not set; it holds the key of this server")
        return {"Authorization": f"Bearer {key}"}


class _AnotherTry(Exception):
    """A request that another try may mend."""

    def __init__(
        self, reason: str, wait: float | None = None, overloaded: bool = False, seldom_mended: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.overloaded, self.seldom_mended = reason, wait, overloaded, seldom_mended


def _body(question: Question, model: str, structured: bool) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(one).decode()}"}}
        for one in question.images
    ]
    content.append({"type": "text", "text": question.text})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    sampling = question.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
    }
    if structured and question.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(question.schema)},
        }
    return body


def _answer(data: bytes, attempt: int) -> Answer:
    try:
        said = json.loads(data)
        choice = said["choices"][0]
        message = choice["message"]
        usage = said.get("usage") or {}
        return Answer(
            str(message.get("content") or ""),
            str(choice.get("finish_reason") or ""),
            str(message.get("refusal") or ""),
            str(said.get("model") or ""),
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
            attempt,
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _AnotherTry("bad_response: the server's answer is no chat completion") from error


def _message(data: bytes) -> str:
    """What a server says of an error, on one short line."""
    try:
        said = json.loads(data)
        error = said.get("error", said.get("detail", said.get("message", said)))
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = data.decode("utf-8", "replace")
    line = " ".join(str(text).split())
    return f"{line[:160]}…" if len(line) > 160 else line or "no message"


def _is_object(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("colour") in ("red", "blue") and isinstance(found.get("number"), int)


def _host(url: str) -> str:
    return urlsplit(url).netloc
