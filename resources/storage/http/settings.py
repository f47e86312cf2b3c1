"""HTTP settings: timeouts, rate limits, and what is refused.

Belongs here: the settings with their defaults, and how we identify ourselves. Does not belong here: applying them.
"""

import importlib.metadata
import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ALLOW_PRIVATE_VARIABLE = "AROT_HTTP_ALLOW_PRIVATE"
USER_AGENT_VARIABLE = "AROT_HTTP_USER_AGENT"


class HttpSettings(BaseModel):
    """How web servers are accessed. Times are in seconds and apply to one object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    honour_opt_out: Annotated[
        bool, Field(description="do not download what `X-Robots-Tag: noai` or `noimageai` forbids")
    ] = True
    allow_private: Annotated[
        bool,
        Field(description=f"reach private, loopback and link-local addresses too; also ${ALLOW_PRIVATE_VARIABLE}=1"),
    ] = False
    max_bytes: Annotated[
        int, Field(ge=1, description="larger objects are refused, based on their header or while reading")
    ] = 200_000_000
    per_host: Annotated[int, Field(ge=1, description="concurrent requests to one host")] = 8
    attempts: Annotated[
        int, Field(ge=1, description="consecutive attempts without progress before giving up on an object")
    ] = 5
    connect_seconds: Annotated[float, Field(gt=0, description="timeout for establishing a connection")] = 10.0
    read_seconds: Annotated[float, Field(gt=0, description="read timeout: how long the server may be silent")] = 30.0
    slowest_bytes_per_second: Annotated[
        float, Field(ge=0, description="fewer than this, over `read_seconds`, count as silence")
    ] = 1000.0
    total_seconds: Annotated[
        float, Field(gt=0, description="for all attempts together, excluding the waits between them")
    ] = 300.0
    backoff_seconds: Annotated[
        float, Field(ge=0, description="wait after the first failure; doubles each time, ± half of it")
    ] = 0.5
    longest_wait_seconds: Annotated[float, Field(ge=0, description="give up if a server asks to wait longer")] = 120.0
    max_redirects: Annotated[int, Field(ge=0, description="redirects to follow; each target is checked too")] = 5
    user_agent: Annotated[
        str, Field(description=f"who is making the requests; also ${USER_AGENT_VARIABLE}. Best with a contact address")
    ] = ""

    @property
    def private_allowed(self) -> bool:
        """Whether private addresses may be accessed: as set here or in the environment."""
        return self.allow_private or os.environ.get(ALLOW_PRIVATE_VARIABLE, "").lower() in ("1", "true", "yes")

    @property
    def agent(self) -> str:
        """The ``User-Agent`` header."""
        default = f"arot/{importlib.metadata.version('arot')} (fetches files listed by its user for an image dataset)"
        return self.user_agent or os.environ.get(USER_AGENT_VARIABLE) or default
