"""Which engine works on units: what the environment or the resource's field asks for."""

import os

from resources.compute.engine import ADDRESS_VARIABLE, COMPUTE_VARIABLE, ENGINES, Compute, ComputeError, Local
from resources.compute.ray_cluster import Ray


def compute_of(engine: str = "", address: str = "", accelerator: str = "") -> Compute:
    """The engine that is asked for.

    Args:
        engine: ``local`` or ``ray``; empty for ``$AROT_COMPUTE``, else ``local``.
        address: of a Ray cluster; empty for ``$RAY_ADDRESS``, else a Ray of this machine alone.
        accelerator: the kind of GPU for units with a model on a Ray cluster; empty for ``$AROT_UNIT_ACCELERATOR``, else any.

    Raises:
        ComputeError: no such engine, or it is not installed.
    """
    chosen = engine or os.environ.get(COMPUTE_VARIABLE) or ENGINES[0]
    if chosen == "local":
        return Local()
    if chosen == "ray":
        return Ray(address or os.environ.get(ADDRESS_VARIABLE, ""), accelerator)
    raise ComputeError(f"${COMPUTE_VARIABLE}={chosen!r}: no such engine; choose one of {', '.join(ENGINES)}")
