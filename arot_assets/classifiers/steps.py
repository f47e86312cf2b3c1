"""The steps of a classifier: training, and the scores of each shard; and whether they are current.

Belongs here: whether these are current, as `arot run` and `arot status` ask. The work is in ``labels.py``,
``split.py``, ``training.py`` and ``entry.py``.

Labels, split and model are one step: a single digest over everything that the model depends on determines whether they
are current.
"""

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.entry import score_metric
from arot_assets.classifiers.inputs import PHASH, training_is_current
from arot_assets.classifiers.label_query import LabelError, query_tables
from arot_assets.classifiers.news import waits_now
from arot_assets.classifiers.promotion import ROOT, latest
from arot_assets.datasets.steps import CONSERVATION, samples_path
from arot_assets.metrics.steps import metric_path, metric_state, row_state
from arot_assets.steps import Check, Key, Look, State, Step
from resources.tables import RATINGS, WIDE

LABELS, SPLIT, MODEL = "labels", "split", "model"
NO_LEAK, GOOD_ENOUGH = "no_leak", "good_enough"


def training_paths(name: str) -> tuple[Key, Key, Key]:
    """The keys of a classifier's labels, split and model, in the order of the work."""
    return (ROOT, name, LABELS), (ROOT, name, SPLIT), (ROOT, name, MODEL)


def classifier_steps(declaration: ClassifierDeclaration) -> list[Step]:
    """Training, and scores."""
    name, dataset = declaration.name, declaration.dataset
    labels, split, model = training_paths(name)
    return [
        Step(
            keys=(labels, split, model),
            upstream=tuple(
                dict.fromkeys((*label_sources(declaration), metric_path(dataset, PHASH), *input_paths(declaration)))
            ),
            state=lambda look: training_state(look, declaration),
            checks={split: (Check(NO_LEAK),), model: (Check(GOOD_ENOUGH),)},
        ),
        *(_scores_step(declaration, one) for one in (dataset, *declaration.elsewhere)),
    ]


def _scores_step(declaration: ClassifierDeclaration, dataset: str) -> Step:
    """The scores of a dataset: its own, or another that lists the classifier among its metrics."""
    scores = metric_path(dataset, declaration.name)
    return Step(
        keys=(scores,),
        upstream=(*input_paths(declaration, dataset), training_paths(declaration.name)[2]),
        state=lambda look: scores_state(look, declaration, dataset),
        dataset=dataset,
        checks={scores: (Check(CONSERVATION),)},
    )


def input_paths(declaration: ClassifierDeclaration, dataset: str = "") -> list[Key]:
    """The tables that a model is computed from: those of vectors, or the samples whose images it sees.

    Args:
        declaration: the classifier.
        dataset: one that has its scores; by default the one that it is trained on.
    """
    dataset = dataset or declaration.dataset
    return [metric_path(dataset, table) for table in declaration.tables] or [samples_path(dataset)]


def label_sources(declaration: ClassifierDeclaration) -> list[Key]:
    """What the labels are read from: the samples, or the tables of the query."""
    query = declaration.labels.query
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
    if declaration.labels.pairs:
        keys.add((RATINGS, declaration.labels.pairs))
    return sorted(keys)


def training_state(look: Look, declaration: ClassifierDeclaration) -> State:
    """Whether the most recently trained model is the result that training would give now."""
    con, tables = look.connection(), look.resources.tables
    current = training_is_current(con, declaration, tables)
    note = "" if current else waits_now(con, tables, declaration)
    return State(current, rows=int(latest(tables, declaration.name) is not None), note=note)


def scores_state(look: Look, declaration: ClassifierDeclaration, dataset: str = "") -> State:
    """Which shards of its dataset, or of another that has its scores, have those of the promoted model for their inputs."""
    metric = score_metric(look.resources.tables, declaration)
    if metric.rows is None:
        return metric_state(look, declaration.files_of_dataset(dataset), metric)
    return row_state(look, dataset or declaration.dataset, metric)
