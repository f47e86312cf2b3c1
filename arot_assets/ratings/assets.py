"""The Dagster door of ratings: the joined ratings, and what is made from them.

Belongs here: declaring the assets and what users see of them. The work is done by the other modules of the room.
"""

from collections.abc import Mapping

import dagster as dg

from arot_assets.automation import WHOLE
from arot_assets.datasets.assets import samples_key
from arot_assets.failures import fails_in_words
from arot_assets.metadata import COLUMN_SCHEMA, ROW_COUNT, column_schema, markdown_table
from arot_assets.ratings.build import Built, build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.joined import SCHEMA, rules_digest
from arot_assets.ratings.reviews import review_sources
from arot_assets.ratings.steps import ratings_path
from resources.warehouse import Warehouse

GROUP = "ratings"


def ratings_key(name: str) -> dg.AssetKey:
    """The key of ``ratings.<name>``."""
    return dg.AssetKey(list(ratings_path(name)))


def rating_assets(declaration: RatingsDeclaration) -> list[dg.AssetsDefinition]:
    """Everything that is made from one ratings."""
    return [_ratings(declaration)]


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
        automation_condition=WHOLE,
    )
    @fails_in_words
    def ratings(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        built = build_ratings(warehouse, declaration, review_sources(declaration.name))
        for source in built.sources:
            context.log.info(
                f"{declaration.name}: {source.source} says {source.said:,} ratings, {source.new:,} of them new"
            )
        warehouse.refresh()
        return dg.MaterializeResult(data_version=dg.DataVersion(built.content), metadata=_ratings_metadata(built))

    return ratings


def _ratings_metadata(built: Built) -> Mapping[str, dg.MetadataValue]:
    return {
        ROW_COUNT: dg.MetadataValue.int(sum(built.statuses.values())),
        "new events": dg.MetadataValue.int(sum(source.new for source in built.sources)),
        "sources": markdown_table([source.__dict__ for source in built.sources]),
        "statuses": markdown_table([{"status": k, "events": v} for k, v in sorted(built.statuses.items())]),
        "does not count, by reason": markdown_table(
            [{"reason": k, "events": v} for k, v in sorted(built.reasons.items(), key=lambda i: -i[1])[:20]]
        ),
    }
