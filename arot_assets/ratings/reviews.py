"""Where `arot review` leaves what people do, so that it is taken in like any other source.

Belongs here: the folders of reviews and the sources that each is. Does not belong here: making a review (``review.py``), reading
what people did (``sources/``).

Reviews are in ``.arot/reviews/<ratings>/`` of the project, on this machine: the tool writes beside its table, while it runs.
"""

import json
import shutil
from pathlib import Path

from arot_assets.ratings.declaration import SourceRule
from resources.root import project_root

SOURCES_FILE = "sources.json"


def reviews_folder(name: str) -> Path:
    """The folder of all reviews of one ratings."""
    return project_root() / ".arot" / "reviews" / name


def review_sources(name: str) -> list[SourceRule]:
    """The sources of all reviews in which somebody did something, in the order of their names."""
    found = [
        SourceRule.model_validate(source)
        for path in sorted(reviews_folder(name).glob(f"*/{SOURCES_FILE}"))
        for source in json.loads(path.read_text(encoding="utf-8"))
    ]
    return [source for source in found if source.url or Path(source.address).exists()]


def forget_reviews(name: str, rater: str) -> int:
    """Remove the reviews of a rater from this machine; returns how many there were."""
    found = 0
    for path in sorted(reviews_folder(name).glob(f"*/{SOURCES_FILE}")):
        if any(source.get("rater_name") == rater for source in json.loads(path.read_text(encoding="utf-8"))):
            shutil.rmtree(path.parent)
            found += 1
    return found


def write_sources(folder: Path, sources: list[SourceRule]) -> None:
    """Let a review be taken in."""
    said = [source.model_dump(exclude_defaults=True) for source in sources]
    (folder / SOURCES_FILE).write_text(json.dumps(said, indent=2), encoding="utf-8")
