"""What may be set about HTTP: patience, politeness, and what is refused.

Belongs here: the settings with their defaults, and who we say we are. Does not belong here: acting on them.
"""

import importlib.metadata
import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ALLOW_PRIVATE_VARIABLE = "AROT_HTTP_ALLOW_PRIVATE"
USER_AGENT_VARIABLE = "AROT_HTTP_USER_AGENT"


class HttpSettings(BaseModel):
    """How web servers are asked. Times are in seconds; all of them hold for one object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    honour_opt_out: Annotated[
        bool, Field(description="do not take what `X-Robots-Tag: noai` or `noimageai` forbids")
    ] = True
    allow_private: Annotated[
        bool,
        Field(description=f"reach private, loopback and link-local addresses too; also ${ALLOW_PRIVATE_VARIABLE}=1"),
    ] = False
    max_bytes: Annotated[
        int, Field(ge=1, description="larger objects are refused, by their header or while reading")
    ] = 200_000_000
    per_host: Annotated[int, Field(ge=1, description="requests that one host answers at the same time")] = 8
    attempts: Annotated[
        int, Field(ge=1, description="tries in a row that bring nothing, before an object is given up")
    ] = 5
    connect_seconds: Annotated[float, Field(gt=0, description="for a connection to come about")] = 10.0
    read_seconds: Annotated[float, Field(gt=0, description="silence that is put up with")] = 30.0
    slowest_bytes_per_second: Annotated[
        float, Field(ge=0, description="less than this, over `read_seconds`, is a drip and counts as silence")
    ] = 1000.0
    total_seconds: Annotated[
        float, Field(gt=0, description="for all tries together, without the waiting between them")
    ] = 300.0
    backoff_seconds: Annotated[
        float, Field(ge=0, description="wait after the first failure; doubles each time, ± half of it")
    ] = 0.5
    longest_wait_seconds: Annotated[float, Field(ge=0, description="a server that asks to wait longer is given up")] = (
        120.0
    )
    max_redirects: Annotated[int, Field(ge=0, description="hops that are followed; each is checked like the first")] = 5
    user_agent: Annotated[
        str, Field(description=f"who asks; also ${USER_AGENT_VARIABLE}. Best with an address to write to")
    ] = ""

    @property
    def private_allowed(self) -> bool:
        """Whether addresses that are not public may be reached: as set here, or by the environment."""
        return self.allow_private or os.environ.get(ALLOW_PRIVATE_VARIABLE, "").lower() in ("1", "true", "yes")

    @property
    def agent(self) -> str:
        """The ``User-Agent``: says what this is."""
        default = f"arot/{importlib.metadata.version('arot')} (fetches files listed by its user for an image dataset)"
        return self.user_agent or os.environ.get(USER_AGENT_VARIABLE) or default
