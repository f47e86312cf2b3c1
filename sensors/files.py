"""The file sensor: notices when a file that a SQL model or labels read has changed, since no upstream asset reports
that.

Belongs here: checking those files, and requesting what reads them. Automation conditions start everything downstream.
"""

from collections.abc import Iterable

import dagster as dg

from arot_assets.classifiers import assets as classifiers
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.subsets.assets import model_key
from arot_assets.subsets.digest import outdated_by_files
from arot_assets.subsets.project import Project
from resources.storage import StorageError
from resources.tables import Tables
from sensors.interval import seconds_between_looks

LOOK_EVERY_SECONDS = 30


def file_sensor(project: Project, declarations: Iterable[ClassifierDeclaration]) -> dg.SensorDefinition | None:
    """The sensor ``files``; None if there is nothing that it could request.

    Each state of the files is requested once: if that run fails, it waits for a user, or for the next change.

    Args:
        project: the SQL project.
        declarations: the classifiers.
    """
    labelled = list(declarations)
    keys = [model_key(name) for name, model in project.models.items() if model.is_stored]
    keys += [classifiers.unpartitioned_keys(d.name)[0] for d in labelled]
    if not keys:
        return None

    @dg.sensor(
        name="files",
        target=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=seconds_between_looks(LOOK_EVERY_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests SQL models and labels whose files (CSV, Parquet, JSON) changed.",
    )
    def files(_context: dg.SensorEvaluationContext, tables: dg.ResourceParam[Tables]) -> dg.SensorResult:
        try:
            changed = {model_key(name): mark for name, mark in outdated_by_files(project, tables).items()}
            for declaration in labelled:
                mark = classifiers.outdated_by_files(declaration, tables)
                if mark is not None:
                    changed[classifiers.unpartitioned_keys(declaration.name)[0]] = mark
        except StorageError as error:
            return dg.SensorResult(skip_reason=str(error))
        if not changed:
            return dg.SensorResult(skip_reason="no file changed that a SQL model or labels read")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{key.to_user_string()} {mark}", asset_selection=[key])
                for key, mark in changed.items()
            ]
        )

    return files
