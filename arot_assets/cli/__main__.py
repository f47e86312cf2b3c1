"""`python -m arot_assets.cli` is `arot`."""

from arot_assets.cli.main import main

main(prog_name="arot")
