"""Scoring shards: read the embeddings, write the scores, skip what is current.

Belongs here: one shard from file to file, and telling whether it is current.
Does not belong here: the rows (``scores.py``), Dagster.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.head import Head
from arot_assets.classifiers.promotion import current, latest, load_head
from arot_assets.classifiers.scores import VECTOR, score_table, score_version
from resources.tables import TableRef, Tables


@dataclass(frozen=True)
class ScoreResult:
    """The result for one shard.

    Attributes:
        rows: rows of the table, as many as in the embedding table.
        computed: whether they were written now; False if the file was current.
        labels: label -> rows that have it.
        failures: reason -> rows.
    """

    rows: int
    computed: bool
    labels: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)


def promoted_head(tables: Tables, name: str) -> tuple[Head | None, str]:
    """The head that scores, or None and why there is none.

    Raises:
        HeadError: its files are damaged.
    """
    pointer = current(tables, name)
    if pointer is not None:
        return load_head(tables, name, pointer.digest), ""
    last = latest(tables, name)
    return None, f"no promoted head: {last.missed}" if last else "no promoted head: none was trained"


def wanted_version(tables: Tables, name: str, embedding_version: str) -> str:
    """The version of current scores for this version of the embedding."""
    pointer = current(tables, name)
    return score_version(name, pointer.digest if pointer else "", embedding_version)


def scores_are_current(tables: Tables, declaration: ClassifierDeclaration, shard: str) -> bool:
    """Whether a shard's scores match its embeddings and the promoted head; reads two footers and no rows."""
    footer = tables.footer_if_any(TableRef(declaration.dataset, declaration.name, shard))
    wanted = wanted_footer(tables, declaration, shard)
    return footer is not None and wanted is not None and all(footer.get(key) == value for key, value in wanted.items())


def score_shard(
    tables: Tables, declaration: ClassifierDeclaration, shard: str, head: Head | None, why_no_head: str
) -> ScoreResult:
    """Bring one shard's scores up to date. Reads no images.

    Args:
        tables: the store's tables.
        declaration: the classifier.
        shard: its embeddings must exist.
        head: from ``promoted_head``.
        why_no_head: from ``promoted_head``: the reason of every row if there is no head.

    Raises:
        TablesError: the shard has no embeddings.
        StorageError: the store cannot be written; the existing scores are kept.
    """
    dataset, name = declaration.dataset, declaration.name
    ref = TableRef(dataset, name, shard)
    if scores_are_current(tables, declaration, shard):
        return ScoreResult(tables.num_rows(ref), computed=False)
    source = TableRef(dataset, declaration.embedding, shard)
    embedding = tables.read(source, columns=["sample_id", "status", "reason", "metric_version", VECTOR])
    last = latest(tables, name)
    classes = head.classes if head else last.classes if last else tuple(declaration.labels.classes or ())
    table = score_table(embedding, head, why_no_head, name, classes)
    reasons = Counter(table.filter(pc.equal(table["status"], "failed"))["reason"].to_pylist())
    footer = {"failed": str(reasons.total()), **(wanted_footer(tables, declaration, shard) or {})}
    tables.write(table, ref, footer=footer)
    labels = Counter(table["label"].drop_null().to_pylist())
    return ScoreResult(table.num_rows, True, dict(labels), dict(reasons))


def wanted_footer(tables: Tables, declaration: ClassifierDeclaration, shard: str) -> dict[str, str] | None:
    """The footer of current scores; None if the embedding table is missing or incomplete.

    The number of failed embeddings is part of it: a retry changes rows, but neither the version nor the samples.
    """
    source = TableRef(declaration.dataset, declaration.embedding, shard)
    embedding = tables.footer_if_any(source)
    if embedding is None or "samples_digest" not in embedding:
        return None
    return {
        "metric_version": wanted_version(tables, declaration.name, embedding["metric_version"]),
        "samples_digest": embedding["samples_digest"],
        "embedding_failed": embedding.get("failed", "0"),
    }
