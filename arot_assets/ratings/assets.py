"""The Dagster door of ratings: the joined ratings, and what is made from them.

Belongs here: declaring the assets and what users see of them. The work is done by the other modules of the room.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.datasets.assets import samples_key
from arot_assets.drawing import data_uri
from arot_assets.failures import fails_in_words
from arot_assets.made_here import RATINGS, say_once
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, count_table, markdown_table
from arot_assets.ratings.build import CONTENT, RatingsResult, build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration, RatingSplitRule
from arot_assets.ratings.joined import SCHEMA, rules_digest
from arot_assets.ratings.raters import RATERS_SCHEMA
from arot_assets.ratings.report import scale_picture, use_picture
from arot_assets.ratings.reviews import review_sources
from arot_assets.ratings.schemas import LABELS_SCHEMA, SCALE_SCHEMA
from arot_assets.ratings.split import SCHEMA as SPLIT_SCHEMA
from arot_assets.ratings.split import build_split, share_counts
from arot_assets.ratings.steps import ratings_path, split_path, split_sources, trust_paths
from arot_assets.ratings.trust import Trust, build_trust, trust_version
from resources.compute import Compute
from resources.tables import RatingsRef, Tables
from resources.warehouse import Warehouse

GROUP = "ratings"


def ratings_key(name: str) -> dg.AssetKey:
    """The key of ``ratings.<name>``."""
    return dg.AssetKey(list(ratings_path(name)))


def rating_assets(declaration: RatingsDeclaration) -> list[dg.AssetsDefinition]:
    """Everything that is made from one ratings."""
    split = [_split(declaration, declaration.split)] if declaration.split is not None else []
    return [_ratings(declaration), _trust(declaration), *split]


def _ratings(declaration: RatingsDeclaration) -> dg.AssetsDefinition:
    samples = samples_key(declaration.dataset)

    @dg.asset(
        key=ratings_key(declaration.name),
        deps=[samples],
        group_name=GROUP,
        kinds={"parquet"},
        owners=declaration.owners,
        description=f"What people said of the samples of `{declaration.dataset}`, a row an event. {declaration.description}",
        metadata={COLUMN_SCHEMA: column_schema(SCHEMA)},
        code_version=rules_digest(declaration),
        automation_condition=None if "ratings" in declaration.manual else WHOLE,
    )
    @fails_in_words
    def ratings(
        context: dg.AssetExecutionContext, compute: dg.ResourceParam[Compute], warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:
        say_once(context, compute, RATINGS)
        built = build_ratings(warehouse, declaration, review_sources(declaration.name))
        for source in built.sources:
            context.log.info(
                f"{declaration.name}: {source.source} says {source.said:,} ratings, {source.new:,} of them new"
            )
        warehouse.refresh()
        return dg.MaterializeResult(data_version=dg.DataVersion(built.content), metadata=_ratings_metadata(built))

    return ratings


def _trust(declaration: RatingsDeclaration) -> dg.AssetsDefinition:
    name, ratings = declaration.name, ratings_key(declaration.name)
    scale, labels, raters = (dg.AssetKey(list(path)) for path in trust_paths(name))
    told = {
        scale: (
            SCALE_SCHEMA,
            "One latent scale from scores, pairs and rankings, with the standard error of each sample.",
        ),
        labels: (LABELS_SCHEMA, "The class that most raters gave, and how far they agree."),
        raters: (RATERS_SCHEMA, "How each rater uses the scale: bias, noise, consistency, speed."),
    }

    @dg.multi_asset(
        name=f"{name}_trust",
        specs=[
            dg.AssetSpec(
                key,
                deps=[ratings],
                group_name=GROUP,
                kinds={"parquet"},
                owners=declaration.owners,
                description=text,
                metadata={COLUMN_SCHEMA: column_schema(schema)},
                code_version=trust_version(declaration),
                automation_condition=None if "trust" in declaration.manual else WHOLE,
            )
            for key, (schema, text) in told.items()
        ],
    )
    @fails_in_words
    def trust(
        context: dg.AssetExecutionContext,
        compute: dg.ResourceParam[Compute],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.MaterializeResult]:
        say_once(context, compute, RATINGS)
        found = build_trust(tables, declaration)
        warehouse.refresh()
        flagged = [row for row in found.raters.to_pylist() if row["flags"]]
        for row in flagged:
            context.log.warning(f"{name}: rater {row['rater']!r}: {', '.join(row['flags'])}")
        pictures = {scale: scale_picture(found), raters: use_picture(tables.read(RatingsRef(name)))}
        for key, table in ((scale, found.scale), (labels, found.labels), (raters, found.raters)):
            metadata: dict[str, dg.MetadataValue] = {ROW_COUNT: dg.MetadataValue.int(table.num_rows)}
            picture = pictures.get(key)
            if picture is not None:
                metadata["picture"] = dg.MetadataValue.md(f"![{key.path[-1]}]({data_uri(picture)})")
            if key == raters:
                metadata |= _figures(found.trust)
                metadata["raters"] = markdown_table(
                    [
                        {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
                        for row in found.raters.to_pylist()
                    ]
                )
            version = tables.footer(RatingsRef(name, key.path[-1]))[CONTENT]
            yield dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(version), metadata=metadata)

    return trust


def _split(declaration: RatingsDeclaration, rule: RatingSplitRule) -> dg.AssetsDefinition:
    name = declaration.name

    @dg.asset(
        key=dg.AssetKey(list(split_path(name))),
        deps=[dg.AssetKey(list(path)) for path in split_sources(declaration, rule)],
        group_name=GROUP,
        kinds={"parquet"},
        owners=declaration.owners,
        description="Train, val and test of the rated samples: groups stay together, and what was once divided stays so.",
        metadata={COLUMN_SCHEMA: column_schema(SPLIT_SCHEMA)},
        automation_condition=None if "split" in declaration.manual else WHOLE,
    )
    @fails_in_words
    def split(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        with warehouse.connect() as con:
            table = build_split(con, tables, declaration)
        warehouse.refresh()
        groups = len(set(table["group_id"].to_pylist()))
        return dg.MaterializeResult(
            metadata={ROW_COUNT: table.num_rows, "groups": groups, "samples": markdown_table(share_counts(table))}
        )

    return split


def _figures(trust: Trust) -> dict[str, dg.MetadataValue]:
    """How far the ratings can be trusted, in numbers with intervals."""
    said = {
        "Krippendorff's alpha of scores": str(trust.scores),
        "Krippendorff's alpha of classes": str(trust.classes),
        "self-consistency": str(trust.self_consistency),
        "matched": f"{trust.matched:.1%}",
        "ratings of a sample, at the median": f"{trust.ratings:g}",
        "parts of the scale": f"{trust.parts}" + ("; only the prior connects them" if trust.parts > 1 else ""),
    }
    return {name: dg.MetadataValue.text(text) for name, text in said.items()}


def _ratings_metadata(built: RatingsResult) -> Mapping[str, dg.MetadataValue]:
    return {
        ROW_COUNT: dg.MetadataValue.int(sum(built.statuses.values())),
        "new events": dg.MetadataValue.int(sum(source.new for source in built.sources)),
        "sources": markdown_table([source.__dict__ for source in built.sources]),
        "statuses": markdown_table([{"status": k, "events": v} for k, v in sorted(built.statuses.items())]),
        "does not count, by reason": count_table(built.reasons, "reason", "events"),
    }
