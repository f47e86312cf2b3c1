"""The duplicates of a dataset."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kind import KindOfDataset
from arot_assets.duplicates.declaration import DuplicatesDeclaration
from arot_assets.duplicates.steps import duplicates_steps
from arot_assets.ratings.groups import PHASH
from arot_assets.steps import Step
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations


class Duplicates(KindOfDataset[DuplicatesDeclaration]):
    """The duplicates of a dataset: which samples show the same, and which one stays."""

    name, noun = "Duplicates", "duplicates"
    model = DuplicatesDeclaration

    def needs(self, one: DuplicatesDeclaration) -> Iterator[tuple[str, str]]:
        """The perceptual hash, and an embedding if one is named."""
        yield PHASH, "dataset"
        if one.embedding:
            yield one.embedding, "embedding"

    def fault(self, one: DuplicatesDeclaration, declared: "Declarations") -> ArotError | None:
        """The dataset lacks something, or has duplicates already."""
        fault = super().fault(one, declared)
        others = [other.name for other in declared.before(one) if other.dataset == one.dataset]
        if fault is None and others:
            text = f"'{others[0]}' finds the duplicates of '{one.dataset}' too; keep one of them"
            fault = error_at(declared.files[one.name], ("attributes", "dataset"), text)
        return fault

    def steps(self, one: DuplicatesDeclaration) -> list[Step]:
        """Edges and groups."""
        return duplicates_steps(one)

    def definitions(self, one: DuplicatesDeclaration) -> "dg.Definitions":
        """The asset and the checks of these duplicates."""
        import dagster as dg

        from arot_assets.duplicates.assets import duplicates_assets
        from arot_assets.duplicates.checks import duplicates_checks

        return dg.Definitions(assets=duplicates_assets(one), asset_checks=duplicates_checks(one))


KIND = Duplicates()
