"""The run-failure sensor: a failed run is logged, and posted to a webhook if one is configured.

Belongs here: notifying people. The variable is ``AROT_WEBHOOK_URL`` (Slack, Mattermost, Teams or anything that accepts JSON).
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable

import dagster as dg

from sensors.interval import seconds_between_looks

WEBHOOK_VARIABLE = "AROT_WEBHOOK_URL"
TIMEOUT_SECONDS = 10.0


@dg.run_failure_sensor(
    name="run_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=seconds_between_looks(30),
    description=f"Logs every failed run, and posts it to ${WEBHOOK_VARIABLE} if that is set.",
)
def run_failure(context: dg.RunFailureSensorContext) -> None:
    """Log a failed run and post it."""
    run = context.dagster_run
    tell(context, failure_message(run.run_id, run.asset_selection or (), failure_cause(context)), run.run_id)


def tell(context: dg.SensorEvaluationContext | dg.RunFailureSensorContext, message: str, run_id: str) -> None:
    """Log a message about a run, and post it if a webhook is configured."""
    context.log.error(message)
    url = os.environ.get(WEBHOOK_VARIABLE)
    if url:
        try:
            post(url, message, run_id)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # the address is a secret: it may contain a token, and the error may contain the address
            answer = f" {error.code}" if isinstance(error, urllib.error.HTTPError) else ""
            context.log.error(
                f"webhook ${WEBHOOK_VARIABLE} could not be reached: {type(error).__name__}{answer}; check the address"
            )


def failure_cause(context: dg.RunFailureSensorContext) -> str:
    """Why a run failed: what its first failed step said, else what Dagster says of the run."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            return data.user_failure_data.description
        if data.error is not None:
            return (data.error.cause or data.error).message
    return context.failure_event.message or ""


def failure_message(run_id: str, assets: Iterable[dg.AssetKey], cause: str) -> str:
    """One line for people: which assets, why, which run."""
    names = ", ".join(sorted(key.to_user_string() for key in assets)) or "a run"
    first = cause.strip().splitlines()[0] if cause.strip() else "no cause recorded"
    return f"arot: {names} failed: {first} (run {run_id})"


def post(url: str, message: str, run_id: str) -> None:
    """POST ``{"text": …, "run_id": …}`` as JSON.

    Raises:
        ValueError: not an http(s) address.
        OSError, http.client.HTTPException: not reachable, or rejected.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("a webhook is an http:// or https:// address")
    body = json.dumps({"text": message, "run_id": run_id}).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        answer.read()
