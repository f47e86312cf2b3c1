"""The made-up raters of the demo: what is in the repository is what the recipe gives."""

from pathlib import Path

from arot_assets.ratings.simulate import main
from tests.conftest import REPOSITORY

DEGRADED = REPOSITORY / "examples" / "degraded"


def test_ratings_of_the_demo_are_what_the_recipe_gives(tmp_path: Path) -> None:
    main(str(DEGRADED / "truth.csv"), str(tmp_path / "ratings.csv"), "file")
    assert (tmp_path / "ratings.csv").read_bytes() == (DEGRADED / "ratings.csv").read_bytes()


def test_every_picture_of_the_demo_has_its_truth_and_its_licence() -> None:
    truth = {line.split(",")[0] for line in (DEGRADED / "truth.csv").read_text().splitlines()[1:]}
    pictures = {path.name for path in DEGRADED.glob("*.jpg")}
    assert truth == pictures and len(pictures) == 144
    licensed = (REPOSITORY / "examples" / "licenses.csv").read_text(encoding="utf-8")
    assert all(f"degraded/{name}," in licensed for name in pictures)
