"""An OpenAI-compatible server of a vision-language model on loopback, that fails in every way that servers do.

Belongs here: answers and failures, and the account of what was asked and paid. Does not belong here: a real model
(``transformers serve``, see ``tests/captions/test_real_server.py``).

What happens to an image depends on the image and on how often it was asked about, so a run is the same each time.
"""

import base64
import hashlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.servers.loopback import Exchange, LoopbackServer

MODEL = "test/tiny-vl"
KEY = "sk-test-0123456789"
PLAIN = "text"


@dataclass(frozen=True)
class Request:
    """One request: the digest of its image (empty without one), its text, and all of its body."""

    image: str
    text: str
    body: Mapping[str, Any]
    number: int
    """How often this image was asked about before, from 0."""


Behaviour = Callable[[Request], str]
"""Which of the ways of ``VlmServerDouble.reply`` a request is answered in."""


class VlmServerDouble(LoopbackServer):
    """See the module.

    Args:
        behaviour: decides each answer; always ``text`` by default.
        structured: whether it honours ``response_format``.
        key: the key that it wants; empty for none.

    Attributes:
        requests: of chat completions, in order.
        paid: image -> answers that were made, apart from those repeated for an ``Idempotency-Key``.
        tokens_in: of all these answers.
        tokens_out: likewise.
        most: requests that were under way at the same time at most.
    """

    def __init__(self, behaviour: Behaviour | None = None, structured: bool = True, key: str = "") -> None:
        super().__init__()
        self.behaviour: Behaviour = behaviour or (lambda request: PLAIN)
        self.structured, self.key = structured, key
        self.requests: list[Request] = []
        self.paid: Counter[str] = Counter()
        self.tokens_in = self.tokens_out = 0
        self.most = self._now = 0
        self.quiet_until = 0.0
        self.too_early = 0
        self._asked: Counter[str] = Counter()
        self._replays: dict[str, bytes] = {}
        self._account = threading.Lock()

    @property
    def url(self) -> str:
        """The base address of its API."""
        return f"{self.endpoint}/v1"

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        if self.key and exchange.headers.get("Authorization") != f"Bearer {self.key}":
            exchange.reply_json({"error": {"message": "Incorrect API key provided"}}, 401)
            return
        if exchange.route == "/v1/models":
            exchange.reply_json({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            return
        if exchange.route != "/v1/chat/completions":
            exchange.reply_json({"error": {"message": "no such route"}}, 404)
            return
        with self._account:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            self._complete(exchange, json.loads(exchange.read_body()))
        finally:
            with self._account:
                self._now -= 1

    def _complete(self, exchange: Exchange, body: Mapping[str, Any]) -> None:
        content = body["messages"][-1]["content"]
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        image = hashlib.sha256(base64.b64decode(urls[0].partition(",")[2])).hexdigest() if urls else ""
        text = next(part["text"] for part in content if part["type"] == "text")
        with self._account:
            request = Request(image, text, body, self._asked[image])
            self._asked[image] += 1
            self.requests.append(request)
            self.too_early += time.monotonic() < self.quiet_until
        self.reply(exchange, request, self.behaviour(request) if image else PLAIN)

    def reply(self, exchange: Exchange, request: Request, way: str) -> None:
        """Answer in one way: ``text``, ``json``, ``empty``, ``refusal``, ``no``, ``length``, ``filter``, ``invalid``, ``fenced``,
        ``throttle SECONDS``, ``error STATUS``, ``cut``, ``reset``, ``garbage``, ``slow SECONDS``."""
        kind, _, value = way.partition(" ")
        if kind == "throttle":
            with self._account:
                self.quiet_until = time.monotonic() + float(value)
            exchange.reply_json({"error": {"message": "rate limit"}}, 429, {"Retry-After": value})
        elif kind == "error":
            exchange.reply_json({"error": {"message": "the server is unwell"}}, int(value))
        elif kind == "reset":
            exchange.abort()
        elif kind == "garbage":
            exchange.reply(200, b"<html>a proxy</html>")
        else:
            if kind == "slow":
                time.sleep(float(value))
            self._answer(exchange, request, kind)

    def _answer(self, exchange: Exchange, request: Request, kind: str) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": self.words(request, kind)}
        if kind == "no":
            message = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
        key = exchange.headers.get("Idempotency-Key", "")
        if key in self._replays:  # answered before: the same again, and not paid again
            exchange.reply(200, self._replays[key], {"Content-Type": "application/json"})
            return
        finish = {"length": "length", "filter": "content_filter"}.get(kind, "stop")
        tokens_in, tokens_out = 100 + len(request.text.split()), len(str(message["content"] or "").split()) + 1
        said = {
            "id": "chat-1",
            "object": "chat.completion",
            "model": f"{MODEL}@1",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
        }
        data = json.dumps(said).encode()
        if kind == "cut":
            exchange.send_response(200)
            exchange.send_header("Content-Length", str(len(data)))
            exchange.end_headers()
            exchange.wfile.write(data[: len(data) // 2])
            exchange.close_connection = True
            return
        with self._account:
            if key:
                self._replays[key] = data
            self.paid[request.image] += 1
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
        exchange.reply(200, data, {"Content-Type": "application/json"})

    def words(self, request: Request, kind: str) -> str:
        """What it says: of an image, words that follow from the image."""
        schema = request.body.get("response_format", {}).get("json_schema", {}).get("schema")
        if kind == "empty":
            return "  \n"
        if kind == "refusal":
            return "I'm sorry, I can't assist with that request."
        if kind == "invalid":
            return "{'colour': red}"
        if schema is not None and self.structured:
            return json.dumps(_instance(schema, request.image))
        if kind in ("json", "fenced"):
            found = json.dumps({"subject": f"picture {request.image[:8]}", "people": 2, "tags": ["a", "b"]})
            return f"```json\n{found}\n```" if kind == "fenced" else found
        return f"A photo with the digest {request.image[:12]}, in good light." if request.image else "hello"


def _instance(schema: Mapping[str, Any], image: str) -> Any:
    """A value that follows a simple schema."""
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: _instance(what, image) for name, what in schema["properties"].items()}
    if kind == "array":
        return [_instance(schema["items"], image)]
    return {"integer": 3, "number": 0.5, "boolean": True}.get(str(kind), f"picture {image[:8]}")


def small_jpeg(number: int) -> bytes:
    """A JPEG of four gray squares, other ones for each number below 4,096: they differ after another encoding too."""
    from PIL import Image

    image = Image.new("L", (16, 16))
    for place in range(4):
        x, y = 8 * (place % 2), 8 * (place // 2)
        image.paste(16 + 30 * (number // 8**place % 8), (x, y, x + 8, y + 8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
