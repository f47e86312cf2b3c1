"""Clips of films as files, and as a dataset of their own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from arot_assets.clips.dataset import folder_of
from arot_assets.clips.declaration import Cutting
from arot_assets.clips.steps import clip_steps, cut_path
from arot_assets.declarations.dataset import DatasetKind
from arot_assets.declarations.errors import error_at
from arot_assets.declarations.kinds.video_dataset import VideoDataset
from arot_assets.errors import did_you_mean
from arot_assets.steps import Step
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations


class Clips(Cutting, VideoDataset):
    """Clips that are cut out of the films of another dataset, as a dataset of films: each file is a sample."""

    source: Annotated[str, Field(description="set by arot: the folder of the files in the store")] = ""
    settle_seconds: Annotated[float, Field(ge=0, description="files appear complete")] = 0.0
    may_vanish: Annotated[
        float, Field(ge=0, le=1, description="clips that the model no longer has may vanish, as many as it likes")
    ] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, values: Any) -> Any:
        if isinstance(values, dict):
            if "source" in values:
                raise ValueError("`source` is the folder of the store in which arot puts the clips; leave it out")
            return {**values, "source": folder_of(str(values.get("name")))}
        return values

    @property
    def cutting(self) -> Cutting:
        """Which clips are cut, and how."""
        return self

    @property
    def made_from(self) -> tuple[tuple[str, ...], ...]:
        """The asset that cuts the files."""
        return (cut_path(self.name),)


class ClipDatasets(DatasetKind[Clips]):
    """Clips of films as files, and as a dataset of their own."""

    name = "Clips"
    model = Clips

    def fault(self, one: Clips, declared: "Declarations") -> ArotError | None:
        """Its films are no dataset of films."""
        films = declared.datasets.get(one.films)
        if films is not None and films.medium.tables:
            return super().fault(one, declared)
        hint = did_you_mean(one.films, [d.name for d in declared.datasets.values() if d.medium.tables])
        text = f"no dataset of films '{one.films}' is declared.{hint}"
        return declared.fault(one.films) or error_at(declared.files[one.name], ("attributes", "films"), text)

    def steps(self, one: Clips) -> Iterator[Step]:
        """The cutting, and the dataset of what was cut."""
        yield from clip_steps(one)
        yield from super().steps(one)

    def definitions(self, one: Clips) -> "dg.Definitions":
        """Assets and checks of these clips and their dataset."""
        import dagster as dg

        from arot_assets.clips.assets import clip_assets
        from arot_assets.clips.checks import clip_checks

        cutting = dg.Definitions(assets=clip_assets(one), asset_checks=[*clip_checks(one)])
        return dg.Definitions.merge(cutting, super().definitions(one))


KIND = ClipDatasets()
