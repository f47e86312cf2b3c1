"""Source sensors: notice that a source changed, and request its inventory.

Belongs here: checking the source cheaply. Automation conditions start everything that follows.
"""

import hashlib
import json
import time

import dagster as dg

from arot_assets.datasets.assets import inventory_key
from arot_assets.datasets.changes import compare
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.inventory import SIGNATURE, carry, known_of, read_inventory
from arot_assets.datasets.listing import list_source
from arot_assets.datasets.sources.pinned import pin
from resources.storage import Storage, StorageError
from resources.tables import INVENTORY, TableRef, Tables
from sensors import s3_prefix
from sensors.change import Change
from sensors.interval import seconds_between_looks

LOOK_EVERY_SECONDS = 30
ASK_AGAIN_SECONDS = 600.0
"""How long to wait before requesting the same inventory again if it did not arrive (it failed, or is queued)."""

UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def source_sensor(declaration: DatasetDeclaration) -> dg.SensorDefinition:
    """The sensor ``<dataset>_source``: on by default, checks every ``LOOK_EVERY_SECONDS`` or
    ``$AROT_SENSOR_SECONDS``."""
    dataset = declaration.name

    @dg.sensor(
        name=f"{dataset}_source",
        target=dg.AssetSelection.assets(inventory_key(dataset)),
        minimum_interval_seconds=seconds_between_looks(LOOK_EVERY_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Requests the inventory when `{declaration.source}` has new, changed or missing objects.",
    )
    def source(
        context: dg.SensorEvaluationContext, storage: dg.ResourceParam[Storage], tables: dg.ResourceParam[Tables]
    ) -> dg.SensorResult:
        seen = json.loads(context.cursor or "{}")
        try:
            if declaration.on_s3 and not declaration.opens_archives:
                found = s3_prefix.look(storage, tables, declaration, seen.get("after", ""))
                change, seen["after"] = found.change, found.after
            else:
                change = describe_change(storage, tables, declaration)
        except StorageError as error:
            return dg.SensorResult(skip_reason=str(error))
        if change is None:
            return dg.SensorResult(skip_reason="nothing changed at the source", cursor=json.dumps(seen))
        if _is_under_way(context.instance, inventory_key(dataset)):
            return dg.SensorResult(skip_reason=f"{change.text}: an inventory is in progress")
        now = time.time()
        if seen.get("signature") == change.signature and now - seen["asked"] < ASK_AGAIN_SECONDS:
            return dg.SensorResult(skip_reason=f"{change.text}: already requested", cursor=json.dumps(seen))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{change.signature}-{int(now)}",
                    asset_selection=[inventory_key(dataset)],
                    tags={"arot/change": change.text},
                )
            ],
            cursor=json.dumps({**seen, "signature": change.signature, "asked": now}),
        )

    return source


def _is_under_way(instance: dg.DagsterInstance, inventory: dg.AssetKey) -> bool:
    """Whether a run that builds the inventory is queued or in progress: it will see the change, or the next check
    will."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    return any(inventory in (run.asset_selection or ()) for run in runs)


def describe_change(storage: Storage, tables: Tables, declaration: DatasetDeclaration) -> Change | None:
    """How the source differs from the inventory; None if it does not.

    Raises:
        StorageError: the source cannot be listed.
    """
    pinned = pin(storage, declaration)
    footer = tables.footer_if_any(TableRef(declaration.name, INVENTORY)) or {}
    if pinned.signature and footer.get(SIGNATURE) == pinned.signature:
        return None
    if pinned.signature and declaration.opens_archives:  # a tick must not open archives
        commit = f"commit {pinned.commit[:8]}" if pinned.commit else "different archives"
        return Change(pinned.signature, f"{commit} at the source")
    # whether files are still growing is determined by the inventory: a tick must not wait
    previous = read_inventory(tables, declaration.name)
    known = known_of(previous, footer, declaration)
    listing = list_source(storage, declaration.model_copy(update={"settle_seconds": 0.0}), known=known)
    if declaration.is_url_list:
        listing = carry(previous, listing)
    found = compare(previous, listing.objects)
    new, changed, gone = len(found.new), len(found.changed), len(found.gone)
    if not (new or changed or gone):
        return None
    listed = listing.objects.select(["uri", "size", "mtime"]).to_pylist()
    digest = hashlib.sha256(repr(listed).encode()).hexdigest()[:16]
    return Change(digest, f"{new} new, {changed} changed, {gone} gone")
