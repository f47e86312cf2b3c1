"""A subset as a dataset on the Hugging Face Hub."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kind import Kind
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.steps import export_steps
from arot_assets.steps import Step
from resources.errors import ArotError
from resources.storage.hub.address import MAIN

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations


class HubDatasets(Kind[HubDatasetDeclaration]):
    """A subset as a dataset on the Hugging Face Hub, published on request."""

    name, noun = "HubDataset", "export"
    command = "publish"
    model = HubDatasetDeclaration

    def remedy(self, name: str) -> str:
        """How to declare one of this name."""
        return f"`arot new hub-dataset {name} SUBSET OWNER/REPO`"

    def fault(self, one: HubDatasetDeclaration, declared: "Declarations") -> ArotError | None:
        """Another export has the same target."""
        target = (one.repo, one.revision or MAIN)
        others = [other.name for other in declared.before(one) if (other.repo, other.revision or MAIN) == target]
        if not others:
            return None
        text = f"export '{others[0]}' also publishes to '{one.repo}'; give each its own repo or revision"
        return error_at(declared.files[one.name], ("attributes", "repo"), text)

    def subsets(self, one: HubDatasetDeclaration) -> Iterator[tuple[str, str]]:
        """What it publishes."""
        yield one.subset, "subset"

    def steps(self, one: HubDatasetDeclaration) -> list[Step]:
        """The published dataset."""
        return export_steps(one)

    def definitions(self, one: HubDatasetDeclaration) -> "dg.Definitions":
        """The asset of this export."""
        import dagster as dg

        from arot_assets.exports.assets import export_assets

        return dg.Definitions(assets=export_assets(one))


KIND = HubDatasets()
