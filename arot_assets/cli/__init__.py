"""The command line `arot`: one file per command, each with an instructive help text."""

from arot_assets.cli.main import main

__all__ = ["main"]
