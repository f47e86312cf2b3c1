"""Units of work on the machines of a Ray cluster.

Belongs here: connecting, how many units are under way, lost machines. Does not belong here: what a unit asks for (``share.py``),
what it does.

Units without a model are Ray's tasks, those with one go to actors that keep it (``ray_actors.py``). Everything that a unit needs
comes with it or lies in the store; workers need the same version of arot and its packages, and the credentials of the store in
their environment: no secret is sent.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import Any, TypeVar

from resources.compute.engine import ADDRESS_VARIABLE, COMPUTE_VARIABLE, ComputeError, Needs, Node
from resources.compute.lookout import Lookout
from resources.compute.ray_actors import LOOK_SECONDS, Actors, Held, name_of, raised
from resources.compute.ray_address import reach, require_node
from resources.compute.share import Share, room, share_of
from resources.machine import SHARE_VARIABLE, Machine
from resources.parallel import THREADS_VARIABLE
from resources.root import PROJECT_VARIABLE, project_root

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 2
"""Units that wait, for each that can run: a worker that is done finds the next one there."""
LOOPBACK = "127.0.0.1"
OBJECTS = 100_000_000
"""Bytes of shared memory for a Ray of this machine alone: units and their results are a few kilobytes."""
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
LEASE_VARIABLE, LEASE_MILLISECONDS = "RAY_worker_lease_timeout_milliseconds", "10000"
"""How long a worker takes one unit of a run after the other, before Ray may give it to another run. With Ray's own 500 it is
given back after each longer unit, and one of another machine then stands idle until the driver's machine hears of it (up to
100 ms)."""
LET_IN = ", and that the token (RAY_AUTH_MODE, RAY_AUTH_TOKEN) and the versions of Ray and Python are the cluster's"
RESTARTS = 3
"""How often a unit is begun again because its machine was lost."""
HANDED_ON = ("AROT_STORE", "AROT_MODELS", "AROT_MEMORY_MB", "AROT_FETCH_THREADS", "AROT_LEASE_SECONDS", "AROT_CACHE_GB")
"""Variables that workers get from the driver; none of them holds a secret."""


@dataclass(frozen=True)
class Ray:
    """A Ray cluster, see ``Compute``.

    Attributes:
        address: ``host:port``, ``ray://host:port``, or empty for a Ray of this machine alone.
        accelerator: the kind of GPU for units with a model, by Ray's name, such as ``H100``; empty for
            ``$AROT_UNIT_ACCELERATOR``, else any.

    Raises:
        ComputeError: Ray is not installed.
    """

    address: str = ""
    accelerator: str = ""

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise ComputeError("Ray is not installed: `pip install 'arot[ray]'`, or set AROT_COMPUTE=local")

    def __str__(self) -> str:
        """For people."""
        return f"Ray at {self.address}" if self.address else "Ray of this machine"

    @property
    def is_local(self) -> bool:
        """See ``Compute``."""
        return False

    @property
    def divides_devices(self) -> bool:
        """See ``Compute``: a cluster does; each Ray of this machine alone takes all of its devices for free."""
        return bool(self.address)

    def check(self) -> None:
        """See ``Compute``."""
        try:
            if self.address:
                reach(self.address)
        except OSError as error:
            raise self._unreachable(error) from error

    def nodes(self) -> list[Node]:
        """See ``Compute``; a head without cores plans, and is none."""
        self._connect()
        import ray

        there = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        return [
            Node(node["NodeID"], name_of(node), node["Resources"]["CPU"], node["Resources"].get("GPU", 0.0))
            for node in there
        ]

    def ask(
        self, question: Callable[[], B], nodes: Sequence[Node], needs: Needs
    ) -> Iterator[tuple[Node, B | Exception]]:
        """See ``Compute``; the processes that answer are then there for units."""
        asks, _ = self._asks(needs)
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # waits for no core: whoever has them all may answer nevertheless
        asked: Any = ray.remote(max_retries=0, num_cpus=0, runtime_env=asks["runtime_env"])(lambda: question())
        left = {
            asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(one.id, soft=False)).remote(): one
            for one in nodes
        }
        while left:
            (reference,), _ = ray.wait(list(left), num_returns=1)
            node = left.pop(reference)
            try:
                yield node, ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                yield node, error.cause
            except ray.exceptions.RayError:  # lost meanwhile; where a process cannot be started, its units will say so
                continue

    def map(self, work: Callable[[A], B], units: Iterable[A], needs: Needs) -> Generator[tuple[A, B], None, None]:
        """See ``Compute``; as many units are under way as the cluster has room for, and a few wait."""
        if needs.device:
            with self.workers(work, needs) as run:
                yield from run(units)
            return
        asks, share = self._asks(needs)
        import ray

        lookout = Lookout(share, _machines)

        def run_unit(unit: A) -> B:
            return work(unit)

        begin: Any = ray.remote(max_retries=RESTARTS, **asks)(run_unit)
        under_way: dict[Any, A] = {}
        source = iter(units)
        try:
            while True:
                most = AHEAD * room(_machines(), share)
                for unit in islice(source, max(0, most - len(under_way))):
                    under_way[begin.remote(unit)] = unit
                if not under_way:
                    return
                done, _ = ray.wait(list(under_way), num_returns=1, timeout=LOOK_SECONDS)
                if not done:
                    lookout.look()
                for reference in done:
                    lookout.goes_on()
                    yield under_way.pop(reference), _result(reference)
        finally:
            for reference in under_way:
                ray.cancel(reference, force=False)

    @contextmanager
    def workers(
        self, work: Callable[[A], B], needs: Needs
    ) -> Iterator[Callable[[Iterable[A]], Generator[tuple[A, B], None, None]]]:
        """See ``Compute``; the cluster is joined when the first unit is there."""
        actors: Actors[A, B] | None = None

        def run(units: Iterable[A]) -> Generator[tuple[A, B], None, None]:
            nonlocal actors
            if not needs.device:
                yield from self.map(work, units, needs)
                return
            if actors is None:
                actors = self._actors(work, needs)
            yield from actors.map(units)

        try:
            yield run
        finally:
            if actors is not None:
                actors.close()

    def _actors(self, work: Callable[[A], B], needs: Needs) -> Actors[A, B]:
        asks, share = self._asks(needs)
        import ray

        actor: Any = ray.remote(**asks)(Held)
        held = ray.put(work)  # once for all actors
        lookout = Lookout(share, _machines)
        return Actors(lambda: actor.remote(held), lambda: room(_machines(), share), lookout, _lost, RESTARTS)

    def _asks(self, needs: Needs) -> tuple[dict[str, Any], Share]:
        """What Ray is asked for one unit, and the same as a share of a machine; the cluster is joined before.

        Raises:
            ComputeError: it cannot be reached, or no machine has what a unit needs.
        """
        os.environ.setdefault(LEASE_VARIABLE, LEASE_MILLISECONDS)  # Ray reads it as it is imported
        self._connect()
        share = share_of(_machines(), needs, self.accelerator, _kinds())
        environment = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
        environment |= {PROJECT_VARIABLE: str(project_root()), THREADS_VARIABLE: str(max(1, int(share.cores)))}
        if 0 < share.gpus < 1:
            environment[SHARE_VARIABLE] = f"{share.gpus:g}"
        return _asks(share) | {"runtime_env": {"env_vars": environment}}, share

    def _connect(self) -> None:
        """Join the cluster, once per process.

        Raises:
            ComputeError: it cannot be reached.
        """
        import ray

        if ray.is_initialized():
            return
        before = signal.getsignal(signal.SIGTERM)
        try:
            if self.address:
                reach(self.address)
                require_node(self.address)
                ray.init(address=self.address, **QUIET)
            else:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
                # Ray makes a token for it, so that nobody else on this machine may send it work, and warns of that
                logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
                own: dict[str, Any] = {"num_cpus": Machine().cores, "object_store_memory": OBJECTS}
                ray.init(address="local", include_dashboard=False, _node_ip_address=LOOPBACK, **own, **QUIET)
            if callable(before) and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # who is told to end is stopped, and has not failed
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ComputeError:
        said = " ".join(str(error).split()).rstrip(".")
        if not self.address:
            return ComputeError(
                f"no Ray can be started on this machine: {said}; set ${ADDRESS_VARIABLE}=host:port of a cluster, or "
                f"{COMPUTE_VARIABLE}=local"
            )
        more = "" if isinstance(error, OSError) and error.errno else LET_IN  # else somebody answered
        return ComputeError(
            f"no Ray cluster at '{self.address}': {said}; check ${ADDRESS_VARIABLE}, `ray status`{more}"
        )


def _machines() -> list[dict[str, float]]:
    """What each machine of the cluster has now, by resource."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _kinds() -> list[str]:
    """Ray's names of kinds of accelerators; a machine may have others, such as ``GeForce-RTX-5090``."""
    from ray.util.accelerators import accelerators

    return [value for name, value in vars(accelerators).items() if name[0].isupper() and isinstance(value, str)]


def _asks(share: Share) -> dict[str, Any]:
    """A share as options of Ray."""
    kind: dict[str, Any] = {"accelerator_type": share.accelerator} if share.accelerator else {}
    return {"num_cpus": share.cores, "num_gpus": share.gpus, **kind}


def _result(reference: Any) -> Any:
    """The result of a unit.

    Raises:
        Exception: what the work raised, as it raised it.
        ComputeError: its worker was lost, again and again.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise raised(error) from error
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.RaySystemError, ray.exceptions.OutOfMemoryError) as error:
        raise _lost(error) from error


def _lost(error: Exception) -> ComputeError:
    """The error for a unit whose worker was lost, again and again."""
    said = str(error).strip().partition("\n")[0]
    return ComputeError(
        f"a worker of the Ray cluster was lost {RESTARTS + 1} times: {said}; finished shards are kept, run it again"
    )
