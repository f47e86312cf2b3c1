"""The command line `arot`: one file a command, each with a help text that teaches."""

from arot_assets.cli.main import main

__all__ = ["main"]
