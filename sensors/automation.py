"""The sensor that evaluates automation conditions; Dagster's own default is stopped, this one runs."""

import dagster as dg

from sensors.interval import seconds_between_looks

automation = dg.AutomationConditionSensorDefinition(
    name="automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=seconds_between_looks(15),
    description="Starts the work that new inventories, labels and code versions require.",
)
