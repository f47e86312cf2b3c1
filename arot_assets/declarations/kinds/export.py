"""A subset as files that trainers load."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from arot_assets.declarations.kind import Kind
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.steps import export_steps
from arot_assets.steps import Step

if TYPE_CHECKING:
    import dagster as dg


class Exports(Kind[ExportDeclaration]):
    """A subset as files that trainers load, with a configuration for each; exported on request."""

    name, noun = "Export", "export"
    command = "export"
    model = ExportDeclaration

    def remedy(self, name: str) -> str:
        """How to declare one of this name."""
        return f"`arot new export {name} SUBSET`"

    def subsets(self, one: ExportDeclaration) -> Iterator[tuple[str, str]]:
        """What it exports."""
        yield from ((subset, "mix" if subset in one.mix else "subset") for subset in one.parts)

    def steps(self, one: ExportDeclaration) -> list[Step]:
        """The export."""
        return export_steps(one)

    def definitions(self, one: ExportDeclaration) -> "dg.Definitions":
        """The asset and the check of this export."""
        import dagster as dg

        from arot_assets.exports.assets import training_assets
        from arot_assets.exports.checks import training_checks

        return dg.Definitions(assets=training_assets(one), asset_checks=training_checks(one))


KIND = Exports()
