"""The linear head: multinomial logistic regression on stored embeddings, and its file.

Belongs here: fitting, the saved form (safetensors + JSON), predicting probabilities.
Does not belong here: evaluating a head (``evaluation.py``), where heads are stored and which one scores (``promotion.py``).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.errors import ArotError

CODE_VERSION = "1"
ITERATIONS = 200
BLOCK = 8192
SPREAD_FLOOR = 1e-3


class HeadError(ArotError):
    """A head that cannot be fitted or read; the message says why and what to do."""


@dataclass(frozen=True)
class Head:
    """A linear classifier: ``softmax(vectors @ weight.T + bias)``.

    Attributes:
        classes: names, in the order of the outputs.
        weight: ``float32 [C, D]``, for raw embeddings: standardisation is folded in.
        bias: ``float32 [C]``.
        embedding: name of the metric that it was trained on.
        embedding_version: the ``metric_version`` of those vectors; other vectors are meaningless to this head.
        info: facts for users and for skipping work: inputs digest, labels digest, seed, l2, figures, created_at.
    """

    classes: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    embedding: str
    embedding_version: str
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = (len(self.classes), self.weight.shape[-1])
        if self.weight.ndim != 2 or self.weight.shape != wanted or self.bias.shape != wanted[:1]:
            raise HeadError(
                f"head of {len(self.classes)} classes has weight {list(self.weight.shape)} and bias "
                f"{list(self.bias.shape)}; they must be [classes, dimensions] and [classes]: train it again"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise HeadError("the head's weights are not finite: train it again")

    def digest(self) -> str:
        """12 hex digits over what the head computes: weights, classes, embedding; not the date."""
        parts = json.dumps([self.classes, self.embedding, self.embedding_version])
        return hashlib.sha256(self.weight.tobytes() + self.bias.tobytes() + parts.encode()).hexdigest()[:12]

    def probabilities(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """``[N, D]`` of any float type -> ``float32 [N, C]``, each row sums to 1. Rows are independent of each other."""
        result = np.empty((len(vectors), len(self.classes)), np.float32)
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK].astype(np.float32)
            logits = block @ self.weight.T + self.bias
            unnormalised = np.exp(logits - logits.max(axis=1, keepdims=True))
            result[start : start + BLOCK] = unnormalised / unnormalised.sum(axis=1, keepdims=True)
        return result


@dataclass(frozen=True)
class Fit:
    """A fitted head's arrays, and how the penalty was chosen.

    Attributes:
        weight: ``float32 [C, D]``.
        bias: ``float32 [C]``.
        l2: the chosen penalty.
        validation_loss: penalty -> cross-entropy on the validation set, nats.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    l2: float
    validation_loss: Mapping[float, float]


def fit_head(
    train: NDArray[Any],
    train_labels: NDArray[np.int64],
    val: NDArray[Any],
    val_labels: NDArray[np.int64],
    n_classes: int,
    l2_grid: Sequence[float],
    balanced: bool,
    advance: Callable[[int], None] = lambda _: None,
) -> Fit:
    """Fit by L-BFGS for each penalty and keep the one with the lowest loss on ``val``. Deterministic: starts at zero.

    The loss is the (weighted) mean cross-entropy plus ``l2 / 2 * sum(weight ** 2)`` over standardized vectors. Memory: the
    vectors as given, plus a block of ``BLOCK`` rows in float32.

    Args:
        train: ``[N, D]`` of any float type.
        train_labels: ``int64 [N]``, 0 to ``n_classes - 1``.
        val: ``[M, D]``.
        val_labels: ``int64 [M]``.
        n_classes: C.
        l2_grid: penalties to try.
        balanced: weight samples so that each class counts the same.
        advance: called with 1 after each penalty.

    Raises:
        HeadError: a class has no samples in ``train``, or no penalty gives finite weights.
    """
    counts = np.bincount(train_labels, minlength=n_classes)
    if (counts == 0).any():
        raise HeadError(f"classes number {np.flatnonzero(counts == 0).tolist()} have no training samples: label more")
    per_class = len(train_labels) / (n_classes * counts) if balanced else np.ones(n_classes)
    mean, spread = _standardisation(train)
    start = np.zeros((n_classes, train.shape[1] + 1), np.float32)
    losses: dict[float, float] = {}
    best: tuple[float, float, NDArray[np.float32], NDArray[np.float32]] | None = None
    for l2 in sorted(l2_grid, reverse=True):
        # a strong penalty converges fast and is a good start for the next weaker one
        start = _minimise(train, train_labels, mean, spread, per_class, l2, start)
        weight = (start[:, :-1] / spread).astype(np.float32)
        bias = (start[:, -1] - weight @ mean).astype(np.float32)
        losses[l2] = _cross_entropy(weight, bias, val, val_labels, per_class)
        advance(1)
        if np.isfinite(losses[l2]) and (best is None or losses[l2] < best[0]):
            best = losses[l2], l2, weight, bias
    if best is None:
        raise HeadError(f"no penalty of {sorted(l2_grid)} gives finite weights: are the embeddings finite?")
    return Fit(best[2], best[3], best[1], losses)


def _standardisation(vectors: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each dimension, in blocks; nearly constant dimensions are not amplified."""
    total = np.zeros(vectors.shape[1])
    squares = np.zeros(vectors.shape[1])
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    mean = total / len(vectors)
    spread = np.sqrt(np.maximum(squares / len(vectors) - mean**2, 0))
    return mean.astype(np.float32), np.maximum(spread, SPREAD_FLOOR).astype(np.float32)


def _minimise(
    vectors: NDArray[Any],
    labels: NDArray[np.int64],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
    per_class: NDArray[np.float64],
    l2: float,
    start: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The minimum as ``float32 [C, D + 1]``: weights for standardised vectors, bias in the last column."""
    import torch

    parameters = torch.from_numpy(start.copy()).requires_grad_(True)
    class_weights = torch.from_numpy(per_class.astype(np.float32))
    center, scale = torch.from_numpy(mean), torch.from_numpy(spread)
    targets = torch.from_numpy(labels)
    optimiser = torch.optim.LBFGS(
        [parameters], max_iter=ITERATIONS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> "torch.Tensor":
        optimiser.zero_grad()
        loss = l2 / 2 * parameters[:, :-1].square().sum()
        loss.backward()
        total = loss.detach()
        for begin in range(0, len(vectors), BLOCK):
            block = (torch.from_numpy(vectors[begin : begin + BLOCK].astype(np.float32)) - center) / scale
            goal = targets[begin : begin + BLOCK]
            logits = block @ parameters[:, :-1].T + parameters[:, -1]
            each = torch.nn.functional.cross_entropy(logits, goal, reduction="none") * class_weights[goal]
            part = each.sum() / len(vectors)
            part.backward()
            total = total + part.detach()
        return total

    optimiser.step(closure)
    minimum: NDArray[np.float32] = parameters.detach().numpy()
    return minimum


def _cross_entropy(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    vectors: NDArray[Any],
    labels: NDArray[np.int64],
    per_class: NDArray[np.float64],
) -> float:
    logits = vectors.astype(np.float32) @ weight.T + bias
    largest = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
    each = (log_sum - logits[np.arange(len(labels)), labels]) * per_class[labels]
    return float(each.sum() / per_class[labels].sum())


def to_files(head: Head) -> tuple[bytes, bytes]:
    """The head as ``head.safetensors`` and ``head.json``."""
    from safetensors.numpy import save

    about = {
        "classes": list(head.classes),
        "dimensions": int(head.weight.shape[1]),
        "embedding": head.embedding,
        "embedding_version": head.embedding_version,
        "digest": head.digest(),
        "info": dict(head.info),
    }
    tensors = {"weight": np.ascontiguousarray(head.weight), "bias": np.ascontiguousarray(head.bias)}
    return save(tensors), json.dumps(about, indent=2, sort_keys=True).encode()


def from_files(tensors: bytes, about: bytes) -> Head:
    """Read a head, and reject files that do not belong together.

    Raises:
        HeadError: unreadable, wrong shapes or types, or not the head that the JSON describes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(tensors)
        facts = json.loads(about)
        head = Head(
            tuple(facts["classes"]),
            arrays["weight"],
            arrays["bias"],
            facts["embedding"],
            facts["embedding_version"],
            facts["info"],
        )
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise HeadError(f"head.safetensors and head.json are not a head ({error!r}): train it again") from error
    if head.weight.dtype != np.float32 or head.bias.dtype != np.float32:
        raise HeadError(f"head.safetensors contains {head.weight.dtype}, not float32: train it again")
    if head.weight.shape[1] != facts["dimensions"] or head.digest() != facts["digest"]:
        raise HeadError("head.safetensors is not the file that head.json describes: train it again")
    return head
