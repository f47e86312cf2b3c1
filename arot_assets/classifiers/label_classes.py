"""The classes, tags, levels or values among labels, and so what is to be learnt of them.

Belongs here: which classes occur and which count. Does not belong here: reading labels (``labels.py``), losses
(``tasks.py``).
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.tasks import Kind, Task, loss_of


def declared_classes(rows: pa.Table, declaration: ClassifierDeclaration) -> pa.Table:
    """The rows whose labels are to be learnt.

    Raises:
        LabelError: a declared class has no samples, or there is nothing to tell apart.
    """
    wanted = declaration.labels.classes
    if declaration.task == "regression":
        if pc.count_distinct(rows["value"]).as_py() < 2:
            raise LabelError(
                f"{declaration.name}: all {rows.num_rows:,} values are equal, so there is nothing to learn; rate more samples"
            )
        return rows
    found = found_classes(rows, declaration.task)
    absent = [name for name in wanted or () if name not in found]
    if absent:
        raise LabelError(
            f"{declaration.name}: no sample is labelled {', '.join(absent)}; labels found: {', '.join(found) or 'none'}"
        )
    if declaration.task == "multi_label":
        if not found:
            raise LabelError(f"{declaration.name}: no sample has a tag")
        if wanted is not None:
            kept = [[tag for tag in tags if tag in wanted] for tags in rows["labels"].to_pylist()]
            rows = rows.set_column(rows.column_names.index("labels"), "labels", pa.array(kept, pa.list_(pa.string())))
        return rows
    if wanted is not None:
        return rows.filter(pc.is_in(rows["label"], value_set=pa.array(wanted, pa.string())))
    if len(found) < 2:
        raise LabelError(
            f"{declaration.name}: a classifier needs two classes or more, found: {', '.join(found) or 'none'}"
        )
    return rows


def found_classes(rows: pa.Table, task: Kind) -> list[str]:
    """The classes, tags or levels that occur. Levels that are numbers are in their order, everything else in that of the
    alphabet."""
    if task == "multi_label":
        return sorted({tag for tags in rows["labels"].to_pylist() for tag in tags})
    found = sorted(pc.unique(rows["label"]).to_pylist())
    if task == "ordinal":
        try:
            return sorted(found, key=float)
        except ValueError:
            return found
    return found


def counted(labels: pa.Table) -> list[dict[str, object]]:
    """For users: samples of each class, level or tag, the most frequent first; of values their range."""
    if labels["value"].null_count < labels.num_rows:
        low, high = pc.min(labels["value"]).as_py(), pc.max(labels["value"]).as_py()
        return [
            {
                "samples": labels.num_rows,
                "least": low,
                "mean": round(pc.mean(labels["value"]).as_py(), 4),
                "greatest": high,
            }
        ]
    names = labels["label"].to_pylist() if labels["label"].null_count < labels.num_rows else []
    names = names or [tag for tags in labels["labels"].to_pylist() for tag in tags or ()]
    return [{"class": name, "samples": count} for name, count in Counter(names).most_common()]


def task_of(declaration: ClassifierDeclaration, labels: pa.Table) -> Task:
    """What is to be learnt from some labels.

    Raises:
        LabelError: ordered levels are no numbers, and their order is not declared.
    """
    kind = declaration.task
    loss = loss_of(kind, declaration.trained_with.loss)
    if kind == "regression":
        return Task(kind, (), loss)
    classes = declaration.labels.classes or found_classes(labels, kind)
    if kind == "ordinal" and declaration.labels.classes is None and not all(_is_number(name) for name in classes):
        raise LabelError(
            f"{declaration.name}: the order of the levels {', '.join(classes)} is not known; state it in labels.classes, the "
            "lowest first"
        )
    return Task(kind, tuple(classes if kind == "ordinal" else sorted(classes)), loss)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
