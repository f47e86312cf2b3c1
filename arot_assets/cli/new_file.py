"""Writing a file that the user asked for, with an error in words."""

from pathlib import Path

import click


def write_new(path: Path, text: str) -> Path:
    """Write a file and the folders above it; gives its path.

    Raises:
        click.ClickException: it cannot be written: the folder is read-only, a file is in its place, the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(
            f"cannot write {path}: {reason}; check that its folder is one, that it is yours to write, and that the disk has room"
        ) from error
    return path
