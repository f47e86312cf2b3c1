"""The steps of a classifier: training, and the scores of each shard; and whether they are current.

Belongs here: whether these are current, as `arot run` and `arot status` ask. The work is in ``labels.py``,
``split.py``, ``training.py`` and ``scores.py``.

Labels, split and head are one step: a single digest over everything that the head depends on determines whether they
are current.
"""

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import PHASH, training_is_current
from arot_assets.classifiers.labels import LabelError, query_tables
from arot_assets.classifiers.promotion import ROOT, latest
from arot_assets.classifiers.scores import score_metric
from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.metrics.steps import metric_path, row_state
from arot_assets.steps import Check, Key, Look, State, Step
from resources.tables import WIDE

LABELS, SPLIT, HEAD = "labels", "split", "head"
NO_LEAK, GOOD_ENOUGH = "no_leak", "good_enough"


def training_paths(name: str) -> tuple[Key, Key, Key]:
    """The keys of a classifier's labels, split and head, in the order of the work."""
    return (ROOT, name, LABELS), (ROOT, name, SPLIT), (ROOT, name, HEAD)


def classifier_steps(declaration: ClassifierDeclaration) -> list[Step]:
    """Training, and scores."""
    name, dataset = declaration.name, declaration.dataset
    labels, split, head = training_paths(name)
    embedding, scores = metric_path(dataset, declaration.embedding), metric_path(dataset, name)
    return [
        Step(
            keys=(labels, split, head),
            upstream=tuple(dict.fromkeys((*label_sources(declaration), metric_path(dataset, PHASH), embedding))),
            state=lambda look: training_state(look, declaration),
            checks={split: (Check(NO_LEAK),), head: (Check(GOOD_ENOUGH),)},
        ),
        Step(
            keys=(scores,),
            upstream=(embedding, head),
            state=lambda look: scores_state(look, declaration),
            dataset=dataset,
            checks={scores: (Check(CONSERVATION),)},
        ),
    ]


def label_sources(declaration: ClassifierDeclaration) -> list[Key]:
    """What the labels are read from: the samples, or the tables of the query."""
    query = declaration.labels.from_sql
    if query is None:
        return [samples_path(declaration.dataset)]
    try:
        read = query_tables(query)
    except LabelError:  # one classifier's query does not keep the rest from loading; its labels report the reason
        return [samples_path(declaration.dataset)]
    keys = {
        ("models", table) if schema == "main" else samples_path(schema) if table == WIDE else (schema, table)
        for schema, table in read
    }
    return sorted(keys)


def training_state(look: Look, declaration: ClassifierDeclaration) -> State:
    """Whether the most recently trained head is the result that training would give now."""
    current = training_is_current(look.connection(), declaration, look.resources.tables)
    return State(current, rows=int(latest(look.resources.tables, declaration.name) is not None))


def scores_state(look: Look, declaration: ClassifierDeclaration) -> State:
    """Which shards have the scores of the promoted head for their current embeddings."""
    return row_state(look, declaration.dataset, score_metric(look.resources.tables, declaration))
