"""The neighbours and clusters of a dataset."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kind import KindOfDataset
from arot_assets.metrics.registry import known_metrics
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.steps import neighbours_steps
from arot_assets.steps import Step
from resources.errors import ArotError
from resources.tables.refs import INVENTORY, SAMPLES, WIDE
from resources.warehouse.views import OF_DATASETS

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations

TAKEN = (INVENTORY, SAMPLES, WIDE, *OF_DATASETS)
"""Names of tables that every dataset has, or may have."""


class Neighbours(KindOfDataset[NeighboursDeclaration]):
    """The neighbours and clusters of a dataset, by a stored embedding."""

    name, noun = "Neighbours", "neighbours"
    model = NeighboursDeclaration

    def needs(self, one: NeighboursDeclaration) -> Iterator[tuple[str, str]]:
        """The table with the vectors."""
        yield one.table, "embedding"

    def fault(self, one: NeighboursDeclaration, declared: "Declarations") -> ArotError | None:
        """The dataset lacks the vectors or has several rows a sample, or another table has the name."""
        file, dataset = declared.files[one.name], declared.datasets.get(one.dataset)
        if dataset is not None and dataset.medium.tables:
            text = f"'{dataset.name}' has several stills for each {dataset.medium.name}; neighbours take samples with one row"
            return error_at(file, ("attributes", "dataset"), text)
        fault = super().fault(one, declared)
        if fault is None and (one.name in known_metrics() or one.name in TAKEN):
            text = f"'{one.name}' is the name of another table; choose another name"
            fault = error_at(file, ("attributes", "name"), text)
        return fault

    def tables(self, one: NeighboursDeclaration) -> Mapping[str, Collection[str]]:
        """One row for each sample; the centres are beside it."""
        return {one.name: (one.table,)}

    def steps(self, one: NeighboursDeclaration) -> list[Step]:
        """The single table."""
        return neighbours_steps(one)

    def definitions(self, one: NeighboursDeclaration) -> "dg.Definitions":
        """The asset and its check."""
        import dagster as dg

        from arot_assets.neighbours.assets import neighbours_assets, neighbours_checks

        return dg.Definitions(assets=neighbours_assets(one), asset_checks=neighbours_checks(one))


KIND = Neighbours()
