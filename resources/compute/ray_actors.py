"""Units of work with a model on a Ray cluster: an actor on each device holds the work, and with it the model, for many units.

Belongs here: which actor gets which unit, what becomes of the units of a lost one. Does not belong here: connecting, what a unit
asks for (``ray_cluster.py``), what a unit does.

Ray ends a process that had a GPU after every task, so that a task would load its model again for each unit; an actor keeps
it until the step is done, and then gives the device back. An actor gets units once a machine has taken it, so that nothing waits
for a device that another run has.
"""

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from resources.compute.lookout import Lookout
from resources.errors import ArotError

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 2
"""Units that an actor has: the one that it works on, and the next."""
LOOK_SECONDS = 5.0
"""Between two looks at what the cluster has, while no unit ends."""
IP = re.compile(r"\(pid=\d+, ip=([^,)\s]+)")
"""Where Ray's error says on which machine it was raised; as an attribute it has that only where it cannot be the cause too."""


class Held(Generic[A, B]):
    """The actor: work that stays in one process."""

    def __init__(self, work: Callable[[A], B]) -> None:
        self._work = work

    def is_there(self) -> bool:
        """Answers as soon as a machine has taken the actor."""
        return True

    def run(self, unit: A) -> B:
        """The work on one unit."""
        return self._work(unit)


@dataclass
class _Lane(Generic[A]):
    """One actor, and what it was given.

    Attributes:
        actor: its handle.
        begun: answered when a machine has taken it; None from then on.
        units: reference -> the unit and how often it was lost before, in the order of the work.
    """

    actor: Any
    begun: Any
    units: dict[Any, tuple[A, int]] = field(default_factory=dict)


class Actors(Generic[A, B]):
    """Actors with the same work, which stay from one ``map`` to the next until they are closed.

    Args:
        actor_of: starts one, a ``Held``.
        room: how many the cluster has room for now; there are never more.
        lookout: is told whether units are worked on.
        lost_for_good: makes the error for a unit whose actor was lost again and again.
        restarts: how often a unit that an actor was lost at is begun again elsewhere.
    """

    def __init__(
        self,
        actor_of: Callable[[], Any],
        room: Callable[[], int],
        lookout: Lookout,
        lost_for_good: Callable[[Exception], Exception],
        restarts: int,
    ) -> None:
        self._actor_of, self._room, self._lost_for_good, self._restarts = actor_of, room, lost_for_good, restarts
        self._lookout = lookout
        self._lanes: list[_Lane[A]] = []

    def map(self, units: Iterable[A]) -> Generator[tuple[A, B], None, None]:
        """Run the work for every unit; gives each unit with its result, as they finish. Left early, it closes the actors.

        Args:
            units: read only as fast as they can be worked on.

        Raises:
            Exception: what the work raised, or what ``lost_for_good`` gives.
        """
        try:
            yield from self._map(units)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the actors, whatever they are at."""
        import ray

        for lane in self._lanes:
            ray.kill(lane.actor)
        self._lanes.clear()

    def _map(self, units: Iterable[A]) -> Generator[tuple[A, B], None, None]:
        import ray

        source = iter(units)
        queue: deque[tuple[A, int]] = deque()
        lanes = self._lanes
        failed_starts = 0

        def fill(most: int) -> None:
            for unit in source:
                queue.append((unit, 0))
                if len(queue) >= most:
                    return

        while True:
            places = self._room()
            if len(queue) < (most := AHEAD * places):
                fill(most)
            while len(lanes) < min(places, len(queue)):
                actor = self._actor_of()
                lanes.append(_Lane(actor, actor.is_there.remote()))
            for depth in range(1, AHEAD + 1):  # each gets one before any gets the next
                for lane in lanes:
                    if lane.begun is None and len(lane.units) < depth and queue:
                        unit, losses = queue.popleft()
                        lane.units[lane.actor.run.remote(unit)] = unit, losses
            of_reference = {reference: lane for lane in lanes for reference in lane.units}
            if not of_reference and not queue:
                return
            of_reference |= {lane.begun: lane for lane in lanes if lane.begun is not None}
            done, _ = ray.wait(list(of_reference), num_returns=1, timeout=LOOK_SECONDS)
            if not done:
                self._lookout.look(idle=all(lane.begun is not None for lane in lanes))
            for reference in done:
                lane = of_reference[reference]
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise raised(error) from error
                except ray.exceptions.RayActorError as error:
                    lanes.remove(lane)
                    failed_starts += lane.begun is not None
                    ended, lost = _of_lost(lane)
                    yield from ended
                    if failed_starts > self._restarts or (lost and lost[0][1] > self._restarts):
                        raise self._lost_for_good(error) from error
                    queue.extendleft(reversed(lost))
                    break  # the other references may be of the same actor
                if lane.begun is not None:
                    lane.begun, failed_starts = None, 0
                    self._lookout.goes_on()
                else:
                    yield lane.units.pop(reference)[0], result


def raised(error: Any) -> BaseException:
    """What work raised on a machine of the cluster, as it raised it; if it is meant for users, with the name of the machine.

    Args:
        error: Ray's, around it.
    """
    import ray

    cause: BaseException = error.cause
    names = {node["NodeManagerAddress"]: name_of(node) for node in ray.nodes()}
    place = IP.search(str(error))
    if isinstance(cause, ArotError) and len(ray.nodes()) > 1 and place is not None:
        cause.args = (f"machine {names.get(place[1], place[1])}: {cause}", *cause.args[1:])
    return cause


def name_of(node: Mapping[str, Any]) -> str:
    """A machine for people: its name, and the address by which the cluster knows it."""
    host, address = node["NodeManagerHostname"], node["NodeManagerAddress"]
    return host if host == address else f"{host} ({address})"


def _of_lost(lane: _Lane[A]) -> tuple[list[tuple[A, Any]], list[tuple[A, int]]]:
    """Of the units of a lost actor, those that had ended, with their results, and the others, with how often they were lost: the
    first of these was worked on, and alone may have been the reason."""
    import ray

    ended: list[tuple[A, Any]] = []
    lost: list[tuple[A, int]] = []
    for reference, (unit, losses) in lane.units.items():
        try:
            ended.append((unit, ray.get(reference)))
        except ray.exceptions.RayActorError:
            lost.append((unit, losses + (not lost)))
    return ended, lost
