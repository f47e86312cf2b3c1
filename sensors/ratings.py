"""The sensor of ratings: notices that people rated something, in a file, in a review, or on a server.

Belongs here: looking at the sources cheaply, and requesting ``ratings.<name>``. Automation conditions start what follows.
"""

from collections.abc import Iterable

import dagster as dg

from arot_assets.ratings.assets import ratings_key
from arot_assets.ratings.build import CONTENT, SOURCES
from arot_assets.ratings.collect import sources_mark
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.reviews import review_sources
from resources.errors import ArotError
from resources.tables import RatingsRef, Tables
from sensors.interval import seconds_between_looks

LOOK_EVERY_SECONDS = 30


def ratings_sensor(declarations: Iterable[RatingsDeclaration]) -> dg.SensorDefinition | None:
    """The sensor ``ratings``; None where there are no ratings, or only such as are taken in by hand.

    Each state of the sources is requested once: if that run fails, it waits for a user, or for the next change.
    """
    declared = [one for one in declarations if "ratings" not in one.manual]
    if not declared:
        return None

    @dg.sensor(
        name="ratings",
        target=dg.AssetSelection.assets(*(ratings_key(d.name) for d in declared)),
        minimum_interval_seconds=seconds_between_looks(LOOK_EVERY_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests ratings when a file, a review or a server says something new.",
    )
    def ratings(_context: dg.SensorEvaluationContext, tables: dg.ResourceParam[Tables]) -> dg.SensorResult:
        requests, faults = [], []
        for declaration in declared:
            sources = [*declaration.sources, *review_sources(declaration.name)]
            try:
                mark = sources_mark(tables, sources)
                made = tables.footer_if_any(RatingsRef(declaration.name)) or {}
            except ArotError as error:  # one server that does not answer holds up nobody else
                faults.append(str(error))
                continue
            if sources and made.get(SOURCES) != mark:
                key = ratings_key(declaration.name)
                # with what is there: a source may say again what it said before, once an answer is taken back
                run_key = f"{key.to_user_string()} {made.get(CONTENT)} {mark}"
                requests.append(dg.RunRequest(run_key=run_key, asset_selection=[key]))
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SensorResult(skip_reason="; ".join(faults) or "nobody said anything new")

    return ratings
