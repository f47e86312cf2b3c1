"""The pages of trainers are those that their records make."""

import runpy

from arot_assets.exports.trainers.trainers import TRAINERS
from tests.conftest import REPOSITORY


def test_every_trainer_has_its_page_as_it_is_now() -> None:
    made = runpy.run_path(str(REPOSITORY / "docs" / "trainers.py"))
    for name, trainer in TRAINERS.items():
        assert (REPOSITORY / "docs" / "trainers" / f"{name}.md").read_text() == made["page"](trainer)
