"""Checks of captions: conservation.

Belongs here: one check per rule.
"""

from collections.abc import Iterator

import dagster as dg

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.quality import quality_metric
from arot_assets.metrics.checks import conservation_check


def caption_checks(declaration: CaptionsDeclaration) -> Iterator[dg.AssetChecksDefinition]:
    """The checks of one captioner."""
    yield conservation_check(declaration.dataset, declaration.name)
    yield conservation_check(declaration.dataset, quality_metric(declaration).name)
