"""A question to a vision-language model, its answer, and the ways in which it fails.

Belongs here: the data that every kind of model shares. Does not belong here: any kind of model (``server.py``, ``local.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from resources.errors import ArotError


class VlmError(ArotError):
    """A model that cannot be used at all; the message names it, the cause and the remedy."""


class NoAnswerError(Exception):
    """A question that has no answer; another image may have one.

    Attributes:
        reason: the cause, one line; it begins with a word that rows are grouped by: ``http_500``, ``timed_out`` …
        tokens_in: what the failed tries cost, as far as the server said.
        tokens_out: likewise.
        attempts: how often it was tried.
    """

    def __init__(self, reason: str, attempts: int, tokens_in: int = 0, tokens_out: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.attempts = reason, attempts
        self.tokens_in, self.tokens_out = tokens_in, tokens_out


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn.

    Attributes:
        temperature: 0 for the most probable token each time.
        top_p: share of probability that is drawn from.
        max_tokens: an answer that reaches it is cut off.
        seed: for servers that take one; equal seeds do not give equal answers in different batches.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        text: the prompt, after the images.
        images: JPEG files, in order.
        system: instructions before everything else; empty for none.
        schema: JSON schema of the answer; None for free text.
        sampling: how the answer is drawn.
        key: names the question, so that a server that knows such keys answers a repeated one only once.
    """

    text: str
    images: tuple[bytes, ...] = ()
    system: str = ""
    schema: Mapping[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    key: str = ""


@dataclass(frozen=True)
class Answer:
    """What a model answered.

    Attributes:
        text: its words; empty if there are none.
        finish_reason: ``stop``, ``length`` (cut off at ``max_tokens``), ``content_filter`` …
        refusal: the model's own words for why it does not answer, where it says so apart from the text.
        model: what the server says it is.
        tokens_in: of prompt and images.
        tokens_out: of the answer.
        attempts: requests until it came.
    """

    text: str
    finish_reason: str
    refusal: str
    model: str
    tokens_in: int
    tokens_out: int
    attempts: int


class Vlm(Protocol):
    """A vision-language model; ``ask`` may be called from several threads.

    Attributes:
        structured: whether it holds answers to a schema by itself; known after ``check``.
    """

    structured: bool

    def check(self, schema: Mapping[str, Any] | None) -> None:
        """Find out that it can be used, before anything is read.

        Raises:
            VlmError: it cannot.
        """
        ...

    def ask(self, question: Question) -> Answer:
        """Ask one question.

        Raises:
            NoAnswerError: there is no answer to this one.
            VlmError: the model cannot be used any more: nothing else is worth asking.
        """
        ...
