"""The one place where everything is assembled into ``defs``.

Belongs here: assembling. Every Dagster process imports this module, so it stays light: no torch, cv2 or pandas.

Faults are reported and left out, so that the code location loads; each appears in the graph as an asset without inputs
and outputs in the group ``problems``, whose description is the fault.
"""

import logging
import warnings
from collections.abc import Callable, Sequence

import dagster as dg

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.declarations import Declarations, Fault, load_declarations
from arot_assets.declarations.kinds import kind_of
from arot_assets.names import proposed_name
from arot_assets.own_assets import own_assets
from arot_assets.project import defs_folder, sql_folder
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.subsets.assets import sql_model_assets
from arot_assets.subsets.checks import sql_model_checks
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from resources.dagster import dagster_resources
from resources.defaults import default_resources
from sensors.automation import automation
from sensors.failure import run_failure
from sensors.files import file_sensor
from sensors.hang import hanging_runs
from sensors.ratings import ratings_sensor
from sensors.source import source_sensor

# Dagster warns of its own use of checks and of its loader; users can do nothing about it
for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category, module=r"dagster\.")


PROBLEMS = "problems"
logger = logging.getLogger("arot")


def build_definitions(
    tell: Callable[[str], object] = logger.error, known: tuple[Declarations, Project] | None = None
) -> dg.Definitions:
    """Declarations and Python assets of ``defs/``, SQL models, sensors and resources.

    Args:
        tell: called with one line for each fault.
        known: what this process has read and checked already; None reads it.
    """
    declared, project = known or _read()
    own, errors = own_assets(defs_folder())
    apart = {**errors, **project.broken}
    looking = [
        file_sensor(project, declared.of(ClassifierDeclaration).values()),
        ratings_sensor(declared.of(RatingsDeclaration).values()),
    ]
    faults = [*declared.faults, *(Fault(name, error) for name, error in apart.items())]
    for line in dict.fromkeys(str(fault.error) for fault in faults):
        tell(f"left out: {line}")
    return dg.Definitions.merge(
        *(kind_of(type(one)).definitions(one) for one in declared.all()),
        *own,
        dg.Definitions(
            assets=[*sql_model_assets(project), *_problems(faults)],
            asset_checks=sql_model_checks(project),
            sensors=[
                automation,
                run_failure,
                hanging_runs,
                *(sensor for sensor in looking if sensor is not None),
                *(source_sensor(d) for d in declared.datasets.values() if not d.made_from),
            ],
            resources=dagster_resources(default_resources()),
            executor=dg.in_process_executor,  # one process per run: models are loaded once
        ),
    )


def _read() -> tuple[Declarations, Project]:
    declared = load_declarations()
    declared.check_metrics()
    project = load_project(sql_folder())
    declared.check_subsets(project.subsets, project.broken)
    return declared, project


def _problems(faults: Sequence[Fault]) -> list[dg.AssetSpec]:
    """What is left out, so that users who look for it in the UI find the reason."""
    by_key = {proposed_name(fault.name) or "unnamed": fault for fault in faults}
    return [
        dg.AssetSpec([PROBLEMS, key], group_name=PROBLEMS, description=f"Left out: {fault.error}")
        for key, fault in by_key.items()
    ]


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_definitions()
