"""What tests of ratings share: a dataset of real photos, and declarations of its ratings."""

from pathlib import Path
from typing import Any

import pytest

from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration, SourceRule
from resources.defaults import Resources
from tests.conftest import Dataset

SOURCE = {"name": "team", "by": "path", "item": "image", "rater": "rater", "value": "score"}


class Rated:
    """One dataset and its ratings, worked on without Dagster."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset = dataset
        self.folder = folder
        self.paths = [p for (p,) in dataset.sql("select uri from d.samples order by uri")]
        self.ids = dict(dataset.sql("select uri, sample_id from d.samples"))
        self.images = [p.removeprefix(f"{dataset.source}/") for p in self.paths]

    def declared(self, *sources: dict[str, Any], **fields: Any) -> RatingsDeclaration:
        """A declaration with these sources."""
        return RatingsDeclaration.model_validate({"name": "q", "dataset": "d", "sources": list(sources), **fields})

    def csv(self, text: str, scale: dict[str, float] | None = None, **fields: Any) -> RatingsDeclaration:
        """A declaration with one CSV of scores; ``scale`` is that of the file."""
        path = self.folder / "team.csv"
        path.write_text(text)
        own = {name: fields.pop(name) for name in list(fields) if name not in RatingsDeclaration.model_fields}
        own |= {"scale": scale} if scale else {}
        return self.declared({**SOURCE, "file": str(path), **own}, **fields)

    def build(self, declaration: RatingsDeclaration, reviews: list[SourceRule] | None = None) -> list[dict[str, Any]]:
        """The rows of ``ratings.q``, after taking in everything."""
        r = self.dataset.resources
        build_ratings(r.warehouse, declaration, reviews)
        with r.warehouse.connect() as con:
            return (
                con.execute("select * from ratings.q order by recorded_at, rater, items").to_arrow_table().to_pylist()
            )


@pytest.fixture
def rated(resources: Resources, source: Path, tmp_path: Path) -> Rated:
    """Twelve photos in a dataset ``d``, without any rating."""
    dataset = Dataset(resources, source)
    dataset.run()
    return Rated(dataset, tmp_path)
