"""The heads of the model catalogue over a block of stored vectors: all of them in one pass.

Belongs here: loading the heads that some metrics name, and their values as whole columns. Does not belong here: the arithmetic
(``resources.models.heads``), which rows are missing (``rows.py``).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from arot_assets.media.media import MEDIA
from arot_assets.metrics.metric import ColumnsOfRows, Metric
from arot_assets.metrics.of_entry import TRAINED_ON
from arot_assets.metrics.registry import get_metric, known_metrics
from arot_assets.metrics.vectors import vectors_of
from resources.models.entries import find_entry
from resources.models.entry import ModelEntry, ModelError
from resources.models.output_values import activated, values_of
from resources.models.outputs import Score
from resources.models.prompts import prompt_head, tower_of

if TYPE_CHECKING:
    from resources.models import Models
    from resources.models.heads import Head, Heads

INDEX = "index"


def load_heads(models: "Models", metrics: Sequence[Metric]) -> "tuple[Heads | None, dict[str, str]]":
    """The heads of some metrics over the same column, and for each metric whose head cannot be used: why.

    Args:
        models: settings and weights.
        metrics: each names a model of the family ``head``.
    """
    from resources.models.families.head import read_head
    from resources.models.heads import Head, Heads
    from resources.models.torch_network import resolve_device

    found: dict[str, Head] = {}
    failed: dict[str, str] = {}
    for metric in metrics:
        assert metric.model is not None
        try:
            entry = find_entry(metric.model)
            if entry.family not in ("head", "prompts"):
                raise ModelError(
                    f"model '{entry.name}' takes {entry.takes}: only the families head, prompts and similarity are computed from "
                    f"stored columns, and it is of the family {entry.family}"
                )
            prompts = entry.family == "prompts"
            head = _of_prompts(models, entry) if prompts else read_head(entry, models.files.verified(entry))
            first = next(iter(found.values()), head)
            if head.dimensions != first.dimensions:
                raise ModelError(
                    f"model '{entry.name}' takes vectors of {head.dimensions} dimensions, and others over {entry.takes} of "
                    f"{first.dimensions}"
                )
            found[metric.name] = head
        except ModelError as error:
            failed[metric.name] = str(error)
    if not found:
        return None, failed
    precision = "float32" if models.precision == "float32" else _precision(models.precision, metrics, found)
    return Heads(found, resolve_device(models.device), precision, models.cpu_threads), failed


def _of_prompts(models: "Models", entry: ModelEntry) -> "Head":
    """Prompts as a head; their text embeddings are kept in the model cache, and the text tower is loaded where they are not."""
    kept = models.files.root / "prompts" / f"{models.fingerprint(entry.name)}.npy"
    return prompt_head(entry, kept, lambda texts: models.get(tower_of(entry)).encode_text(texts))


def _precision(asked: str, metrics: Sequence[Metric], found: Mapping[str, Any]) -> str:
    """The precision asked for, if every head's entry allows it: they are one product."""
    allowed = [find_entry(m.model).precision for m in metrics if m.name in found and m.model]
    return asked if all(one != "float32" for one in allowed) else "float32"


def head_outputs(heads: "Heads", column: pa.ChunkedArray) -> dict[str, Any]:
    """What each head gives for stored vectors, ``float32 [N, K]``, by metric.

    Raises:
        ModelError: the stored vectors are of another kind than those that the heads were trained on.
    """
    # a piece at a time, as the file has them: to join them would copy all
    blocks = [vectors_of(chunk) for chunk in column.chunks if len(chunk)] or [vectors_of(column)]
    wanted = heads.dimensions
    other = [block.shape[1] for block in blocks if block.shape[1] != wanted]
    if other:
        raise ModelError(
            f"heads {', '.join(heads.names)} take vectors of {wanted} dimensions, and the stored ones have {other[0]}: "
            "correct `takes` of their entries"
        )
    parts = [heads.predict(block) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def trained_for(models: "Models", metric: Metric) -> frozenset[str]:
    """The versions of vectors that a head can take: the one that it was trained on, and that of the same model, code and
    parameters for files of another medium, whose pixels it sees alike. Empty if the head does not say."""
    assert metric.model is not None
    entry = find_entry(metric.model)
    wanted, table = entry.options.get(TRAINED_ON), entry.takes.split(".")[0]
    if not wanted:
        return frozenset()
    if table in known_metrics() and (source := get_metric(table)).rows is None:
        fingerprint = models.fingerprint(source.model) if source.model else ""
        alike = frozenset(source.metric_version(fingerprint, medium.decoder) for medium in MEDIA.values())
        if wanted in alike:
            return alike
    return frozenset([str(wanted)])


def columns_of_head(
    metric: Metric, output: Any, made_by: pa.ChunkedArray | None = None, right: Collection[str] = ()
) -> Callable[[pa.Table], ColumnsOfRows]:
    """The function that gives a head's columns, of a table whose column ``index`` says which rows of its output are meant.

    Args:
        metric: of the head.
        output: what the head gives, a row each.
        made_by: the version of each vector; rows of another version than the head can take fail.
        right: these, as ``trained_for``.
    """
    assert metric.model is not None
    entry = find_entry(metric.model)
    outputs = entry.outputs
    wanted, table_name = entry.options.get(TRAINED_ON), entry.takes.split(".")[0]
    versions = made_by.to_pylist() if made_by is not None else []

    def compute(table: pa.Table) -> ColumnsOfRows:
        array = output[table[INDEX].to_numpy()]
        columns: dict[str, Any] = {}
        for one in outputs:
            if isinstance(one, Score):
                values = activated(array, one.activation).reshape(len(array), -1)[:, one.index]
                columns[one.name] = (values * np.float32(one.scale) + np.float32(one.offset)).astype(np.float32)
            else:
                rows = values_of(one, {one.of: array})
                columns |= {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
        if wanted:
            found = [versions[k] for k in table[INDEX].to_pylist()]
            columns["reason"] = [
                None
                if version in right
                else f"{table_name} is of version {version}, the head was trained on {wanted}: train it again"
                for version in found
            ]
        return columns

    return compute
