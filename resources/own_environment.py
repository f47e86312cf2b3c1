"""Tools that get an environment of their own, because what they pin clashes with what we pin.

Belongs here: making such an environment on first use, and finding its commands. Does not belong here: what the tools are for.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from resources.errors import ArotError
from resources.root import project_root

DONE = "installed.txt"
"""Written last: an environment without it is one whose installation was interrupted."""
SHOWN = 400
"""Characters of the installer's last words that are shown."""


class ToolError(ArotError):
    """A tool cannot be installed; the message says what its installer said."""


def command_in_own_environment(
    tool: str, requirement: str, told: Callable[[str], object] = str, folder: Path | None = None
) -> Path:
    """The command of a tool, installed on first use.

    Args:
        tool: the command's name.
        requirement: what pip installs, as ``lenslet>=0.4,<0.5``; another one is another environment.
        told: is told that something is being installed, which takes a while.
        folder: of the environment; by default in ``.arot/tools/`` of the project.

    Raises:
        ToolError: it cannot be installed.
    """
    folder = folder or project_root() / ".arot" / "tools" / tool
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    marker = folder / DONE
    if marker.exists() and marker.read_text(encoding="utf-8") == requirement:
        return commands / tool
    told(f"installing {requirement} into {folder}, once; it takes about a minute")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for arguments in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
    ):
        ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if ended.returncode:
            said = (ended.stderr or ended.stdout).strip()[-SHOWN:]
            raise ToolError(
                f"'{requirement}' cannot be installed into {folder}: {said}; is the package index reachable?"
            )
    marker.write_text(requirement, encoding="utf-8")
    return commands / tool
