"""The Dagster assets of classifiers: labels, split and model, and the scores as a sharded metric table.

Belongs here: declaring the assets and what users see of them. The work is done by the other modules of the room.

When they run: ``labels``, ``split`` and ``model`` follow their inputs as soon as any of these exist, and finish quickly
if nothing changed. A shard's scores follow its embeddings, and the model only when another one was promoted (its data
version): a training that finds nothing to do starts no scoring.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from logging import Logger
from typing import TYPE_CHECKING

import dagster as dg

from arot_assets.automation import WHOLE, asked_by_automation, shard_condition
from arot_assets.classifiers import labels as label_tables
from arot_assets.classifiers import split as splits
from arot_assets.classifiers.declaration import ERRORS, ClassifierDeclaration
from arot_assets.classifiers.entry import score_columns, score_metric
from arot_assets.classifiers.inputs import PHASH, with_hashes
from arot_assets.classifiers.label_classes import counted
from arot_assets.classifiers.label_query import label_files
from arot_assets.classifiers.news import HEARD, heard
from arot_assets.classifiers.promotion import classifier_file, current, decisions
from arot_assets.classifiers.report import figure_rows, slice_rows
from arot_assets.classifiers.scoring import build_scores
from arot_assets.classifiers.steps import input_paths, label_sources, training_paths
from arot_assets.datasets.assets import SHARDS_PER_RUN, samples_key, shard_partitions
from arot_assets.datasets.places import dataset_root
from arot_assets.datasets.presence import Shards, objects_of_shards
from arot_assets.datasets.turns import Unit, work_on
from arot_assets.failures import fails_in_words
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, count_table, markdown_table
from arot_assets.metrics.assets.shards import gpu_of
from arot_assets.metrics.assets.spec import metric_key
from arot_assets.metrics.metric import metric_schema
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.pool import unit_by_unit
from arot_assets.shard_progress import ShardProgress
from arot_assets.whole import whole_asset
from resources.compute import Compute, Needs
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from resources.warehouse.reads import FILES

if TYPE_CHECKING:
    from arot_assets.classifiers.training import Training

GROUP = "classifiers"
_Condition = dg.AutomationCondition


def unpartitioned_keys(name: str) -> list[dg.AssetKey]:
    """The asset keys of a classifier's labels, split and model, in the order of the work."""
    return [dg.AssetKey(list(path)) for path in training_paths(name)]


def classifier_assets(
    declaration: ClassifierDeclaration, partitions_def: dg.DynamicPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """Labels, split, model and scores of one classifier; scores of other datasets too that list it among their metrics.

    Args:
        declaration: what the user declared.
        partitions_def: the shards of its dataset.
    """
    others = [_scores(declaration, dataset, shard_partitions(dataset)) for dataset in declaration.elsewhere]
    own = _scores(declaration, declaration.dataset, partitions_def)
    return [_labels(declaration), _split(declaration), _model(declaration), own, *others]


def _condition(sharded: Sequence[dg.AssetKey], whole: Sequence[dg.AssetKey] = ()) -> dg.AutomationCondition:
    """``WHOLE``, once there is something to work on: at least one shard of each sharded input, and the other inputs."""
    condition: dg.AutomationCondition = WHOLE
    for key in (*sharded, *whole):
        # split and model may follow labels within one run
        there = _Condition.any_deps_match(~_Condition.missing() | _Condition.will_be_requested())
        condition = condition & there.allow(dg.AssetSelection.assets(key)).with_label(f"{key.to_user_string()} exists")
    return condition


def _labels(declaration: ClassifierDeclaration) -> dg.AssetsDefinition:
    name, dataset = declaration.name, declaration.dataset
    deps = [dg.AssetKey(list(path)) for path in label_sources(declaration)]

    @dg.asset(
        key=unpartitioned_keys(name)[0],
        deps=deps,
        group_name=GROUP,
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"Which sample belongs to which class. {declaration.description}",
        metadata={COLUMN_SCHEMA: column_schema(label_tables.SCHEMA)},
        # a different query or folder level requires new labels
        code_version=hashlib.sha256(declaration.labels.model_dump_json().encode()).hexdigest()[:12],
        automation_condition=None
        if "labels" in declaration.manual
        else _condition([samples_key(dataset)] if samples_key(dataset) in deps else []),
    )
    @fails_in_words
    def labels(
        context: dg.AssetExecutionContext, tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:
        # before they are read, so that a change in between is noticed
        files, said = label_files(declaration, tables), heard(tables, declaration)
        with warehouse.connect(declaration.labels.query or "") as con:
            table = label_tables.read_labels(con, declaration, dataset_root(tables, dataset))
            gone = label_tables.unknown_samples(con, declaration, table)
        if gone:
            context.log.warning(f"{name}: {len(gone):,} labelled samples are no longer in '{dataset}': {gone[:5]}")
        digest = label_tables.labels_digest(table)
        footer = {"labels_digest": digest, HEARD: json.dumps(said), **({FILES: files} if files else {})}
        tables.write(table, classifier_file(name, "labels.parquet"), footer=footer)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest),
            metadata={
                ROW_COUNT: table.num_rows,
                "samples_not_there": len(gone),
                "classes": markdown_table(counted(table)),
            },
        )

    return labels


def outdated_by_files(declaration: ClassifierDeclaration, tables: Tables) -> str | None:
    """The mark of the files that labels are read from, if it differs from that of the stored labels."""
    mark = label_files(declaration, tables)
    place = classifier_file(declaration.name, "labels.parquet")
    made = mark is not None and tables.is_readable(place)
    return mark if made and tables.footer(place).get(FILES) != mark else None


def _split(declaration: ClassifierDeclaration) -> dg.AssetsDefinition:
    name, dataset = declaration.name, declaration.dataset
    labels_key, key, _ = unpartitioned_keys(name)

    @dg.asset(
        key=key,
        deps=[labels_key, metric_key(dataset, PHASH)],
        group_name=GROUP,
        kinds={"parquet"},
        owners=declaration.owners,
        description="Train, val and test: near-duplicates stay together, every class has its fraction in each.",
        metadata={COLUMN_SCHEMA: column_schema(splits.SCHEMA)},
        automation_condition=None
        if "split" in declaration.manual
        else _condition([metric_key(dataset, PHASH)], [labels_key]),
    )
    @fails_in_words
    def split(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        labels = tables.read(classifier_file(name, "labels.parquet"))
        with warehouse.connect() as con:
            hashed = with_hashes(con, dataset, labels)
        table = splits.make_split(
            hashed, hashed["phash"].to_numpy(), hashed["mirrored"].to_numpy(), declaration.split, _before(tables, name)
        )
        tables.write(table, classifier_file(name, "split.parquet"))
        sizes = Counter(table["group_id"].to_pylist()).values()
        return dg.MaterializeResult(
            metadata={
                ROW_COUNT: table.num_rows,
                "groups of near-duplicates": len(sizes),
                "samples in a group with others": sum(size for size in sizes if size > 1),
                "held: was in test and was moved": table["split"].to_pylist().count(splits.HELD),
                "groups with more than one label": len(splits.disputed_groups(table)),
                "samples": markdown_table(splits.split_counts(table)),
            }
        )

    return split


def _before(tables: Tables, name: str) -> dict[str, str]:
    """The split that each sample had, which it keeps."""
    place = classifier_file(name, "split.parquet")
    if not tables.is_readable(place):
        return {}
    table = tables.read(place, columns=["sample_id", "split"])
    return dict(zip(table["sample_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def _model(declaration: ClassifierDeclaration) -> dg.AssetsDefinition:
    name = declaration.name
    _, split_key, key = unpartitioned_keys(name)
    sources = [dg.AssetKey(list(path)) for path in input_paths(declaration)]
    asked = " and ".join(f"{k} at {'most' if k in ERRORS else 'least'} {v:g}" for k, v in declaration.gate.items())
    manual = "; promoted by `arot promote` alone" if declaration.promotion == "manual" else ""

    def work(resources: Resources, log: Logger) -> dg.MaterializeResult:
        from arot_assets.classifiers.training import train

        tables = resources.tables
        result = train(declaration, resources, patient=asked_by_automation())
        promoted = current(tables, name)
        version = dg.DataVersion(promoted.digest if promoted else f"none ({result.pointer.missed})")
        if result.waits:
            log.info(f"{name}: {result.waits}")
        elif not result.trained:
            log.info(f"{name}: nothing to do, model {result.pointer.digest} has the same inputs")
        if result.pointer.missed:
            kept = (
                f"model {promoted.digest} continues to score" if promoted else "there is no other model to score with"
            )
            log.warning(
                f"{name}: model {result.pointer.digest} is not promoted: {result.pointer.missed}; {kept}. "
                "Look at the worst mistakes, correct or add labels, or lower promote_if"
            )
        page = tables.uri(classifier_file(name, result.pointer.digest, "report.html"))
        return dg.MaterializeResult(data_version=version, metadata=_model_metadata(result, page, tables, name))

    return whole_asset(
        key.path,
        [split_key.path, *input_paths(declaration)],
        work,
        group_name=GROUP,
        kinds={"pytorch"},
        device=not declaration.columns,
        owners=declaration.owners,
        description=f"{declaration.recipe} on {', '.join(declaration.columns) or 'images'}, measured on the test set; promoted "
        f"when it has {asked or 'any figures'} and is not worse than the model that scores{manual}.",
        automation_condition=None if "model" in declaration.manual else _condition(sources, [split_key]),
    )


def _model_metadata(
    result: "Training", page: str, tables: Tables, name: str
) -> dict[str, dg.MetadataValue | str | float | int]:
    """What users see of a model: how good it is, and whether it scores; ``page`` is the address of its report."""
    from arot_assets.classifiers.training import decision_rows

    evaluation = result.evaluation
    shown = {key.replace("_", " "): round(figure.value, 4) for key, figure in evaluation.figures.items()}
    metadata: dict[str, dg.MetadataValue | str | float | int] = {
        **({} if result.trained else {"waits": result.waits} if result.waits else {"nothing to do": True}),
        "model": result.pointer.digest,
        "promoted": result.pointer.missed or "yes",
        **{key: value for key, value in shown.items() if value == value},
        "with 95 % intervals, beside baselines": markdown_table(figure_rows(evaluation)),
        "slices": markdown_table(slice_rows(evaluation)),
        "samples of each split": markdown_table([dict(result.about["samples"])]),
        **({"comparisons": markdown_table([pairs])} if (pairs := result.about.get("comparisons")) else {}),
        "chosen": markdown_table([{"setting": k, "value": str(v)} for k, v in result.about["chosen"].items()]),
        "decisions": markdown_table(decision_rows(decisions(tables, name))[:10]),
        "report": dg.MetadataValue.path(page),
    }
    if evaluation.confusion:
        metadata["confusion"] = markdown_table(evaluation.confusion_rows())
    if evaluation.by_class:
        metadata["classes"] = markdown_table([dict(row) for row in evaluation.by_class])
    if evaluation.calibration is not None:
        metadata["calibration error"] = round(evaluation.calibration.after, 4)
    if result.sheet is not None:
        from arot_assets.drawing import data_uri

        metadata["worst mistakes"] = dg.MetadataValue.md(f"![worst mistakes]({data_uri(result.sheet)})")
    return metadata


def _scores(
    declaration: ClassifierDeclaration, dataset: str, partitions_def: dg.DynamicPartitionsDefinition
) -> dg.AssetsDefinition:
    name = declaration.name
    model_key = unpartitioned_keys(name)[2]
    schema = metric_schema(score_columns(declaration))
    made_from = [dg.AssetKey(list(path)) for path in input_paths(declaration, dataset)]
    another_model = (
        _Condition.any_deps_match(_Condition.data_version_changed())
        .allow(dg.AssetSelection.assets(model_key))
        .with_label("another model was promoted")
    )

    @dg.asset(
        key=metric_key(dataset, name),
        deps=[*made_from, model_key],
        group_name=GROUP,  # not the dataset's, so that the groups are in sequence in the graph
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"Scores of the model `{name}` for every sample. {declaration.description}",
        metadata={COLUMN_SCHEMA: column_schema(schema)},
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.multi_run(SHARDS_PER_RUN),
        automation_condition=None
        if "scores" in declaration.manual
        else shard_condition(model_key, another=another_model),
    )
    @fails_in_words
    def scores(
        context: dg.AssetExecutionContext,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> dg.MaterializeResult:
        metric = score_metric(tables, declaration)
        sizes = objects_of_shards(warehouse, dataset)
        needs = Needs(device=metric.rows is None)
        work = partial(build_scores, storage, warehouse, models, declaration, dataset, Shards(warehouse, dataset))
        with (
            ShardProgress(context, dataset, name, sizes, "rows", compute.is_local) as progress,
            unit_by_unit(context, compute, needs.device, work) as placed,
        ):

            def done(unit: Unit, result: MetricResult) -> None:
                context.log.info(f"{dataset}/{name} {unit.shard}: {result.rows} rows, {result.computed} scored")
                pace = progress.finished(unit.shard, result.computed, gpu_of([result]))
                said = tables.read(TableRef(dataset, name, unit.shard))
                labels = Counter(said["label"].drop_null().to_pylist()) if "label" in said.column_names else Counter()
                context.add_asset_metadata(
                    metadata={**_shard_metadata(result, labels), **pace},
                    asset_key=metric_key(dataset, name),
                    partition_key=unit.shard,
                )

            work_on(
                compute,
                tables,
                context.partition_keys,
                lambda shard: Unit.of(dataset, shard, [name], context.run.run_id),
                placed,
                done,
                needs,
                context.log.info,
            )
        warehouse.refresh()
        return dg.MaterializeResult(
            metadata={"model": promoted.digest if (promoted := current(tables, name)) else "none"}
        )

    return scores


def _shard_metadata(result: MetricResult, labels: Mapping[str, int]) -> dict[str, dg.MetadataValue]:
    if not (result.computed or result.copied):
        return {ROW_COUNT: dg.MetadataValue.int(result.rows), "nothing to do": dg.MetadataValue.bool(True)}
    return {
        ROW_COUNT: dg.MetadataValue.int(result.rows),
        "labels": count_table(labels, "label", most=None),
        "failed, by reason": count_table(result.failures, "reason"),
    }
