"""What one unit asks of a machine of a Ray cluster, and for how many the cluster has room.

Belongs here: the numbers, from the environment and from what the machines have. Does not belong here: Ray (``ray_cluster.py``).

A machine is what Ray says of it: resource -> amount, such as ``{"CPU": 16, "GPU": 2, "accelerator_type:H100": 1}``.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from resources.compute.engine import ComputeError, Needs

Machine = Mapping[str, float]
CORES_VARIABLE, GPUS_VARIABLE, ACCELERATOR_VARIABLE = "AROT_UNIT_CORES", "AROT_UNIT_GPUS", "AROT_UNIT_ACCELERATOR"
CORES = 4
"""Cores of one unit, unless ``$AROT_UNIT_CORES`` says otherwise or no machine has as many: enough to decode for a model."""
KIND = "accelerator_type:"
"""How the resource begins that tells the kind of a machine's GPUs (``ray.util.accelerators``)."""
SMALLEST = 1e-4
"""The least difference between two amounts that Ray tells apart."""
SHOWN = 5


@dataclass(frozen=True)
class Share:
    """What one unit takes of a machine.

    Attributes:
        cores: more than 0.
        gpus: a fraction of one, or a whole number; 0 for none.
        accelerator: the kind of GPU, by Ray's name; empty for any.
    """

    cores: float
    gpus: float = 0.0
    accelerator: str = ""

    def __str__(self) -> str:
        kind = f" of the kind {self.accelerator}" if self.accelerator else ""
        return f"{_count(self.cores, 'core')} and {_count(self.gpus, 'GPU')}{kind}"


def share_of(machines: Sequence[Machine], needs: Needs, accelerator: str, known: Iterable[str]) -> Share:
    """What one unit asks for, such that a machine has it.

    Args:
        machines: of the cluster, now.
        needs: of one unit.
        accelerator: the kind of GPU for units with a model; empty for ``$AROT_UNIT_ACCELERATOR``, else any.
        known: Ray's names of kinds.

    Raises:
        ComputeError: a variable is no such number, there is no such kind, or no machine has what is asked for.
    """
    kind = (accelerator or os.environ.get(ACCELERATOR_VARIABLE, "")) if needs.device else ""
    if kind:
        of_kind = [one for one in machines if one.get(KIND + kind)]
        if not of_kind:
            raise ComputeError(_no_such_kind(machines, kind, known))
    else:
        of_kind = list(machines)
    has_gpu = any(one.get("GPU") for one in of_kind)
    gpus = _number(GPUS_VARIABLE, float(has_gpu), least=0.0) if needs.device else 0.0
    if gpus > 1 and gpus != int(gpus):
        raise ComputeError(f"${GPUS_VARIABLE}={gpus:g}: a unit has a part of one GPU, or a whole number of them")
    of_gpus = [one for one in of_kind if one.get("GPU", 0.0) >= gpus]
    most = max((one.get("CPU", 0.0) for one in of_gpus), default=0.0)
    share = Share(_number(CORES_VARIABLE, min(CORES, most) or 1.0, least=SMALLEST), gpus, kind)
    if not any(one.get("CPU", 0.0) >= share.cores for one in of_gpus):
        raise ComputeError(
            f"no machine of the Ray cluster has {share} for one unit: {sizes(machines)}; lower "
            f"${CORES_VARIABLE} or ${GPUS_VARIABLE}, or add such a machine (`ray status` shows what there is)"
        )
    return share


def room(machines: Iterable[Machine], share: Share) -> int:
    """How many units the machines can run at once; at least one."""
    return max(1, sum(_units(one, share) for one in machines))


def fitting(machines: Iterable[Machine], share: Share) -> int:
    """How many of the machines can run a unit, whatever else they do."""
    return sum(_units(one, share) > 0 for one in machines)


def _units(machine: Machine, share: Share) -> int:
    """How many units one machine can run at once."""
    if share.accelerator and not machine.get(KIND + share.accelerator):
        return 0
    parts = [machine.get("CPU", 0.0) / share.cores]
    if share.gpus:
        parts.append(machine.get("GPU", 0.0) / share.gpus)
    return math.floor(min(parts) + SMALLEST)


def _number(variable: str, default: float, least: float) -> float:
    """An amount from the environment.

    Raises:
        ComputeError: it is none.
    """
    said = os.environ.get(variable)
    if not said:
        return default
    try:
        amount = float(said)
    except ValueError:
        amount = math.nan
    if not least <= amount < math.inf:
        raise ComputeError(f"${variable}={said!r}: not a number of at least {least:g}; unset it for {default:g}")
    return amount


def _no_such_kind(machines: Iterable[Machine], kind: str, known: Iterable[str]) -> str:
    """What people are told of a kind of GPU that no machine has."""
    there = sorted({name.removeprefix(KIND) for one in machines for name in one if name.startswith(KIND)})
    has = (
        f"the cluster has {', '.join(there)}" if there else "no machine of the cluster says of which kind its GPUs are"
    )
    named = [*known]
    if kind in named:
        told, remedy = f"no machine of the Ray cluster has a GPU of the kind {kind!r}", "add such a machine"
    else:
        told, remedy = f"Ray knows no GPU of the kind {kind!r}", f"Ray's names are {', '.join(sorted(named))}"
    ask = "ask for one that is there, or for none" if there else "ask for none"
    return f"{told}: {has}; {ask} (${ACCELERATOR_VARIABLE}, or `accelerator` of the resource compute); {remedy}"


def sizes(machines: Iterable[Machine]) -> str:
    """What the machines have, the largest first."""
    found = {(one.get("GPU", 0.0), one.get("CPU", 0.0), _kinds(one)) for one in machines}
    sizes = [
        f"{_count(cpu, 'core')} and {_count(gpu, 'GPU')}{kinds}" for gpu, cpu, kinds in sorted(found, reverse=True)
    ]
    more = [f"{len(sizes) - SHOWN} other sizes"] if len(sizes) > SHOWN else []
    return f"there are machines with {'; '.join([*sizes[:SHOWN], *more])}" if sizes else "it has no machine"


def _count(amount: float, what: str) -> str:
    return f"{amount:g} {what}{'' if amount == 1 else 's'}"


def _kinds(machine: Machine) -> str:
    kinds = sorted(name.removeprefix(KIND) for name in machine if name.startswith(KIND))
    return f" ({', '.join(kinds)})" if kinds else ""
