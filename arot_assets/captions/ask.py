"""One sample: its image and prompt become a question, the answer becomes a row.

Belongs here: what a row says of an answer, and the one try to repair an answer that does not follow its schema. Does not belong
here: which samples are asked about (``build.py``), and reaching the model (``resources.vlm``).
"""

import hashlib
import io
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.captions.budget import Budget
from arot_assets.captions.declaration import CaptionsDeclaration, ImageRule
from arot_assets.captions.fields import InvalidAnswerError, read_fields
from arot_assets.captions.table import TEXT
from resources.vlm.question import Answer, NoAnswerError, Question, Sampling, Vlm

REPAIR_SEED = 1_000_003
"""Added to the seed when an answer is asked for again: with the same one a model repeats itself."""
CUT, EMPTY, REFUSED, INVALID = "truncated", "empty", "refused", "invalid_json"


@dataclass
class _Paid:
    """What the tries of one sample cost so far."""

    tokens_in: int = 0
    tokens_out: int = 0
    attempts: int = 0


def jpeg(rgb: NDArray[np.uint8], rule: ImageRule) -> bytes:
    """An image as it is sent.

    Args:
        rgb: ``uint8 [H, W, 3]``, upright sRGB.
        rule: its largest size and quality.
    """
    from PIL import Image

    image = Image.fromarray(rgb)
    scale = math.sqrt(rule.max_pixels / (image.width * image.height))
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=rule.quality)
    return buffer.getvalue()


def ask(
    declaration: CaptionsDeclaration, vlm: Vlm, budget: Budget, key: str, images: tuple[bytes, ...], text: str
) -> dict[str, Any]:
    """Ask about one sample; gives its row, without the sample's id.

    Args:
        declaration: how it is asked.
        vlm: who is asked.
        budget: has let this question begin; it is told here what it used.
        key: names sample, version and what is tried again, for servers that answer an equal question once.
        images: the JPEG files that are sent, the sample's own first.
        text: the rendered prompt.

    Raises:
        VlmError: the model cannot be used any more.
    """
    rule, schema, paid, began = declaration.sampling, declaration.fields, _Paid(), time.monotonic()
    sampling = Sampling(rule.temperature, rule.top_p, rule.max_tokens, rule.seed)
    if schema is not None and not vlm.structured:
        text = (
            f"{text}\n\nAnswer with one JSON object that follows this schema, and nothing else:\n{json.dumps(schema)}"
        )
    question = Question(text, images, declaration.system, schema, sampling)
    prompt = hashlib.sha256(f"{declaration.system}\n{text}".encode()).hexdigest()[:12]
    row: dict[str, Any] = {"prompt": prompt, "model": declaration.model, "seed": sampling.seed}
    try:
        row |= _answered(question, vlm, key, paid)
    except NoAnswerError as error:
        paid.attempts += error.attempts
        row |= {"status": "failed", "reason": error.reason}
    finally:
        budget.end(paid.tokens_in, paid.tokens_out, paid.attempts)
    return row | {
        "tokens_in": paid.tokens_in,
        "tokens_out": paid.tokens_out,
        "cost": budget.cost(paid.tokens_in, paid.tokens_out),
        "attempts": paid.attempts,
        "seconds": time.monotonic() - began,
        "answered_at": datetime.now(UTC),
    }


def _answered(question: Question, vlm: Vlm, key: str, paid: _Paid) -> dict[str, Any]:
    """Ask, and once more with another seed if the answer cannot be used as it is."""
    for number in range(2):
        seed = question.sampling.seed + number * REPAIR_SEED
        asked = replace(question, sampling=replace(question.sampling, seed=seed), key=f"{key}-{number}")
        answer = vlm.ask(asked)
        paid.tokens_in += answer.tokens_in
        paid.tokens_out += answer.tokens_out
        paid.attempts += answer.attempts
        row = _row(answer, question.schema)
        row["seed"] = seed
        if not row.get("reason", "").startswith((EMPTY, INVALID)):
            break
    return row


def _row(answer: Answer, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    said: dict[str, Any] = {"served_model": answer.model, "finish_reason": answer.finish_reason}
    if answer.refusal or answer.finish_reason == "content_filter":
        return said | _failed(REFUSED, answer.refusal or "by the server's filter")
    if answer.finish_reason == "length":
        return said | _failed(CUT, "the answer reached max_tokens")
    if not answer.text.strip():
        return said | _failed(EMPTY, "the answer has no text")
    fields: Mapping[str, Any] = {}
    if schema is not None:
        try:
            fields = read_fields(answer.text, schema)
        except InvalidAnswerError as error:
            return said | _failed(INVALID, str(error))
    return said | {"status": "ok", TEXT: answer.text.strip(), **fields}


def _failed(kind: str, detail: str) -> dict[str, str]:
    line = " ".join(detail.split())
    return {"status": "failed", "reason": f"{kind}: {line[:200]}"}
