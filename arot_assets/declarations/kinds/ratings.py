"""What people say of the samples of a dataset."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from arot_assets.declarations.errors import DeclarationError, error_at
from arot_assets.declarations.kind import KindOfDataset
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.groups import PHASH
from arot_assets.ratings.steps import rating_steps
from arot_assets.steps import Step
from resources.errors import ArotError

if TYPE_CHECKING:
    import dagster as dg

    from arot_assets.declarations.declared import Declarations

RESERVED_SCHEMAS = ("main", "ratings", "tags")


class Ratings(KindOfDataset[RatingsDeclaration]):
    """What people say of the samples of a dataset, and what can be concluded from it."""

    name, noun = "Ratings", "ratings"
    command = "review"
    model = RatingsDeclaration

    def needs(self, one: RatingsDeclaration) -> Iterator[tuple[str, str]]:
        """Near-duplicates, if the split keeps them together; `near_duplicate_distance: null` does without."""
        if one.split and one.split.near_duplicate_distance is not None:
            yield PHASH, "split"

    def fault(self, one: RatingsDeclaration, declared: "Declarations") -> ArotError | None:
        """The dataset lacks something, or the name is that of another schema."""
        if one.name in RESERVED_SCHEMAS:
            text = f"'{one.name}' is a schema of its own; choose another name"
            return error_at(declared.files[one.name], ("attributes", "name"), text)
        one.set_evaluation_sets(evaluation_sets(declared, but=one.name))
        return super().fault(one, declared)

    def steps(self, one: RatingsDeclaration) -> list[Step]:
        """The ratings, and what is made from them."""
        return rating_steps(one)

    def definitions(self, one: RatingsDeclaration) -> "dg.Definitions":
        """Assets and checks of these ratings."""
        import dagster as dg

        from arot_assets.ratings.assets import rating_assets
        from arot_assets.ratings.checks import rating_checks

        return dg.Definitions(assets=rating_assets(one), asset_checks=[*rating_checks(one)])


def evaluation_sets(declared: "Declarations", but: str = "") -> dict[str, str]:
    """What declared ratings keep from training: ``RATINGS.SET`` -> query.

    Args:
        declared: all declarations.
        but: without those of these ratings.
    """
    return {
        f"{name}.{of}": query
        for name, one in declared.of(RatingsDeclaration).items()
        if name != but and one.split is not None
        for of, query in one.split.evaluation_sets.items()
    }


def ratings_of(name: str, declared: "Declarations") -> RatingsDeclaration:
    """The ratings of this name, or those of a dataset of this name that has only these.

    Raises:
        DeclarationError: they are not declared, their declaration has a fault, or the dataset has several.
    """
    every = declared.of(RatingsDeclaration)
    found = [one for one in every.values() if one.dataset == name]
    if name in every or not found:
        return declared.get(RatingsDeclaration, name)
    if len(found) > 1:
        raise DeclarationError(
            f"'{name}' has several ratings: {', '.join(one.name for one in found)}; name one of them"
        )
    return found[0]


KIND = Ratings()
