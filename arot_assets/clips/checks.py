"""The check of cut clips: nothing is lost.

Belongs here: declaring the check. Does not belong here: cutting (``cutting.py``).
"""

import dagster as dg

from arot_assets.clips.dataset import ClipsDeclaration, cut_table
from arot_assets.clips.steps import CONSERVATION, cut_path
from arot_assets.datasets.checks import conservation_result
from arot_assets.datasets.conservation import compare_keys
from arot_assets.failures import fails_in_words
from resources.tables import ModelRef, Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import literal


def clip_checks(declaration: ClipsDeclaration) -> list[dg.AssetChecksDefinition]:
    """The checks of one declaration."""

    @dg.asset_check(
        asset=dg.AssetKey(cut_path(declaration.name)),
        name=CONSERVATION,
        blocking=True,
        description="Exactly one row for every clip that the model has.",
    )
    @fails_in_words
    def conservation(tables: dg.ResourceParam[Tables], warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
        model = ModelRef(declaration.cutting.model)
        asked = f"select clip_id from read_parquet({literal(tables.uri(model))})"
        if "status" in tables.descriptions(model):
            asked += " where status = 'ok'"
        found = f"select clip_id from read_parquet({literal(tables.uri(cut_table(declaration.name)))})"
        return conservation_result(compare_keys(warehouse, asked, found, ("clip_id",)))

    return [conservation]
