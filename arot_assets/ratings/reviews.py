"""Where `arot review` leaves what people do, so that it is taken in like any other source.

Belongs here: the folders of reviews and the source that each is. Does not belong here: making and starting a review
(``review.py``), reading what people did (``sources/lenslet.py``).

Reviews are in ``.arot/reviews/<ratings>/`` of the project, on this machine: the tool writes beside its table, while it runs.
"""

from pathlib import Path

from arot_assets.ratings.declaration import SourceRule
from resources.root import project_root

SOURCE_FILE = "source.json"


def reviews_folder(name: str) -> Path:
    """The folder of all reviews of one ratings."""
    return project_root() / ".arot" / "reviews" / name


def review_sources(name: str) -> list[SourceRule]:
    """The sources of all reviews in which somebody did something, in the order of their names."""
    found = [
        SourceRule.model_validate_json(path.read_text(encoding="utf-8"))
        for path in sorted(reviews_folder(name).glob(f"*/{SOURCE_FILE}"))
    ]
    return [source for source in found if source.url or Path(source.address).exists()]
