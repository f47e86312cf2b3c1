"""Where units of work run: in this process, or on the machines of a Ray cluster."""

from resources.compute.choice import compute_of
from resources.compute.engine import Compute, ComputeError, Local, Needs, Node, stays_here

__all__ = ["Compute", "ComputeError", "Local", "Needs", "Node", "compute_of", "stays_here"]
