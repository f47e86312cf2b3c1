"""Dagster runs started from the command line, in this process, recorded where the UI shows them.

Belongs here: the instance, its results of checks, running a set of assets for a set of shards, cleaning up after killed
runs. Does not belong here: which assets and shards (``work.py``).
"""

import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from arot_assets.cli.check_results import CheckId, CheckResult, Results, check_problem
from arot_assets.cli.home import SETTINGS, HomeError, prepare_home, records_are_writable, records_elsewhere
from arot_assets.cli.interrupts import INTERRUPTS
from arot_assets.datasets.assets import shard_partitions
from arot_assets.steps import CHECK_VERSION

PROCESS_TAG = "arot/process"
SERVER_TAG = ".dagster/grpc_info"
"""Written by Dagster's own launcher: the code server of `arot ui` whose child the run is."""
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class RunOutcome:
    """How a Dagster run ended.

    Attributes:
        run_id: its id in the UI.
        problems: one line for each failed step or check; empty on success.
        failed: the assets that were not built, or whose check failed: nothing should be built from them now.
    """

    run_id: str
    problems: tuple[str, ...] = ()
    failed: frozenset[dg.AssetKey] = frozenset()


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that the UI shows.

    Raises:
        HomeError: Dagster's home cannot be used, from the start or later.
    """
    home = prepare_home()
    with records_are_writable(home), _instance(home) as instance:
        yield instance


def _instance(home: Path) -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.get()
    except (dg.DagsterInvalidConfigError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise HomeError(f"{home / SETTINGS}: not a valid Dagster configuration: {cause}") from error
    except Exception as error:
        if not records_elsewhere(home):
            raise
        raise HomeError(
            f"{home / SETTINGS}: the database of Dagster's records cannot be used: {_first_cause(error)}; start it, or "
            "correct its address there (POSTGRES_HOST, POSTGRES_PORT, POSTGRES_PASSWORD in the settings of deploy/)"
        ) from None  # the traceback would show the address with its password


def open_runs(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Runs that have started and not ended, according to the records."""
    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    return instance.get_runs(dg.RunsFilter(statuses=states))


def close_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs whose command line or `arot ui` was killed as failed.

    Otherwise the UI would show them as running forever, and automation would wait for them. Where several machines share
    the records, runs of a code server are left to the daemon: its socket may be a file of another machine.
    """
    closed = []
    shared = _shared(instance)
    for run in open_runs(instance):
        process, server = run.tags.get(PROCESS_TAG), run.tags.get(SERVER_TAG)
        command_died = process and process.startswith(f"{os.uname().nodename}:") and not _alive(process)
        if command_died or (server and not shared and not _answers(server)):
            instance.report_run_failed(run, message="the command that ran it was killed; run it again")
            # the killed process could not release its pool slots; the next run would wait for them forever
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
    return closed


def materialize(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: Sequence[dg.AssetKey],
    dataset: str | None = None,
    shards: Sequence[str] = (),
    retry: str | None = None,
) -> RunOutcome:
    """Run some assets, with their checks, as one Dagster run for each contiguous range of shards.

    Args:
        definitions: all of the project's definitions.
        instance: where the runs are recorded.
        keys: the assets; all partitioned by the shards of ``dataset``, or none of them.
        dataset: whose shards; None for unpartitioned assets.
        shards: which; ignored for unpartitioned assets.
        retry: passed to the sharded tables, see ``RetryConfig``.

    Returns:
        The outcome of the first failed run, otherwise of the last.

    Raises:
        KeyboardInterrupt: the user stopped it.
    """
    job = definitions.resolve_implicit_global_asset_job_def()
    outcome = RunOutcome("")
    for tags in _ranges(instance, dataset, shards):
        with _still_ended_by_sigterm():
            result = job.execute_in_process(
                instance=instance,
                asset_selection=list(keys),
                tags={**tags, PROCESS_TAG: _this_process()},
                run_config=_run_config(definitions, keys, retry),
                raise_on_error=False,
            )
        if _interrupted(result):
            raise KeyboardInterrupt
        outcome = _outcome(definitions, keys, result)
        if not result.success:
            break
    return outcome


@contextmanager
def _still_ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process after a run as before it.

    After a run, Dagster gives SIGTERM what SIGINT has: to be ignored, in a command that a script started in the background.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before != signal.SIG_IGN and signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:
            signal.signal(signal.SIGTERM, before)


def last_results(instance: dg.DagsterInstance, checks: Sequence[CheckId]) -> Results:
    """The last result of each check that ever ran, in whichever run."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([check_key(c) for c in checks])
    found: dict[CheckId, CheckResult | None] = dict.fromkeys(checks)
    for check in checks:
        record = records.get(check_key(check))
        event = record.event.dagster_event if record is not None and record.event is not None else None
        if event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found[check] = _result(event.asset_check_evaluation_data)
    return found


def check_key(check: CheckId) -> dg.AssetCheckKey:
    """Dagster's key of a check."""
    key, name = check
    return dg.AssetCheckKey(dg.AssetKey(list(key)), name)


def _result(evaluation: dg.AssetCheckEvaluation) -> CheckResult:
    version = evaluation.metadata.get(CHECK_VERSION)
    return CheckResult(
        evaluation.passed,
        evaluation.severity == dg.AssetCheckSeverity.ERROR,
        evaluation.description,
        None if version is None else str(version.value),
    )


def _problem(evaluation: dg.AssetCheckEvaluation) -> str:
    return check_problem((tuple(evaluation.asset_key.path), evaluation.check_name), _result(evaluation))


def run_checks(definitions: dg.Definitions, instance: dg.DagsterInstance, checks: Sequence[CheckId]) -> str:
    """Run some checks without their assets, as one Dagster run.

    Returns:
        The run's id.
    """
    whole = definitions.resolve_implicit_global_asset_job_def()
    job = whole.get_subset(asset_selection=set(), asset_check_selection={check_key(c) for c in checks})
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tags = {PROCESS_TAG: _this_process()}
    return job.execute_in_process(instance=instance, tags=tags, run_config=config, raise_on_error=False).run_id


def _ranges(instance: dg.DagsterInstance, dataset: str | None, shards: Sequence[str]) -> Iterator[dict[str, str]]:
    if dataset is None:
        yield {}
        return
    name = str(shard_partitions(dataset).name)
    unknown = sorted(set(shards) - set(instance.get_dynamic_partitions(name)))
    if unknown:  # the store is older than this instance
        instance.add_dynamic_partitions(name, unknown)
    known = instance.get_dynamic_partitions(name)
    position = {shard: n for n, shard in enumerate(known)}
    numbered = enumerate(sorted(shards, key=position.__getitem__))
    for _, group in groupby(numbered, key=lambda pair: position[pair[1]] - pair[0]):
        together = [shard for _, shard in group]
        yield {RANGE_START: together[0], RANGE_END: together[-1]}


def _run_config(definitions: dg.Definitions, keys: Sequence[dg.AssetKey], retry: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if retry is not None:
        graph = definitions.resolve_asset_graph()
        names = {definitions.resolve_assets_def(key).op.name for key in keys if graph.get(key).is_partitioned}
        config["ops"] = {name: {"config": {"retry": retry}} for name in names}
    return config


def _interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether Ctrl-C ended it: Dagster turns that into a step error, perhaps of a library that was interrupted."""
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None:
            if error.cls_name in INTERRUPTS:
                return True
            error = error.cause
    return False


def _outcome(definitions: dg.Definitions, keys: Sequence[dg.AssetKey], result: dg.ExecuteInProcessResult) -> RunOutcome:
    problems = tuple(_problems(result))
    if result.success:
        return RunOutcome(result.run_id, problems, frozenset(_doubtful(result)))
    ended = {event.step_key for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_SUCCESS}
    unmade = {key for key in keys if definitions.resolve_assets_def(key).op.name not in ended}
    told = problems or (*_before_any_step(result),) or ("the run failed; see it in the UI",)
    return RunOutcome(result.run_id, told, frozenset((unmade or {*keys}) | {*_doubtful(result)}))


def _before_any_step(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Why a run ended before any of its steps: a resource could not be made, such as an engine that is not installed."""
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.RESOURCE_INIT_FAILURE:
            cause = event.engine_event_data.error
            while cause is not None and cause.cause is not None:
                cause = cause.cause
            if cause is not None:
                yield cause.message.strip().partition("\n")[0].partition(": ")[2] or cause.message.strip()


def _doubtful(result: dg.ExecuteInProcessResult) -> Iterator[dg.AssetKey]:
    """Assets with a check that failed as an error."""
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION and _problem(
            event.asset_check_evaluation_data
        ):
            yield event.asset_check_evaluation_data.asset_key


def _problems(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            told = data.user_failure_data.description if data.user_failure_data else None
            cause = data.error.cause or data.error if data.error else None
            yield f"{event.step_key}: {told or (cause.message.strip() if cause else 'failed')}"
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            yield from filter(None, [_problem(event.asset_check_evaluation_data)])


def _first_cause(error: BaseException) -> str:
    """The first line of what everything else follows from: a database driver's own words, which name no password."""
    while (earlier := getattr(error, "orig", None) or error.__cause__) is not None:
        error = earlier
    return str(error).strip().partition("\n")[0]


def _shared(instance: dg.DagsterInstance) -> bool:
    settings = Path(instance.root_directory) / SETTINGS
    return settings.is_file() and records_elsewhere(settings.parent)


def _answers(server: str) -> bool:
    """Whether a code server on this machine exists; one that is not reached through a socket file counts as
    existing."""
    path = json.loads(server).get("socket")
    if path is None:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def _this_process() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"


def _alive(process: str) -> bool:
    try:
        os.kill(int(process.rsplit(":", 1)[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
