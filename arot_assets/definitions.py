"""The one place where everything is assembled into ``defs``.

Belongs here: assembling. Every Dagster process imports this module, so it stays light: no torch, cv2 or pandas.
"""

import warnings

import dagster as dg

from arot_assets.components import definitions_of
from arot_assets.declarations import load_declarations
from arot_assets.project import sql_folder
from arot_assets.subsets.assets import sql_model_assets
from arot_assets.subsets.checks import sql_model_checks
from arot_assets.subsets.load import load_project
from resources.dagster import dagster_resources
from resources.defaults import default_resources
from sensors.automation import automation
from sensors.failure import run_failure
from sensors.source import source_sensor

# Dagster warns of its own use of checks and of its loader; users can do nothing about it
for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category, module=r"dagster\.")


def build_definitions() -> dg.Definitions:
    """Declarations of ``defs/``, SQL models, sensors and resources.

    Raises:
        DeclarationError: a ``defs.yaml`` is wrong; names file and line.
        ProjectError: the SQL project is wrong; names file and line.
    """
    declared = load_declarations()
    project = load_project(sql_folder())
    declared.check_subsets(project.subsets)
    return dg.Definitions.merge(
        *(definitions_of(d) for d in declared.all()),
        dg.Definitions(
            assets=sql_model_assets(project),
            asset_checks=sql_model_checks(project),
            sensors=[automation, run_failure, *(source_sensor(d) for d in declared.datasets.values())],
            resources=dagster_resources(default_resources()),
            executor=dg.in_process_executor,  # one process a run: models load once
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_definitions()
