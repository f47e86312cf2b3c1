"""Benchmark results: dated sections in RESULTS.md, each with a description of the machine.

Belongs here: appending, and describing the machine. Does not belong here: any timing. Imports only the standard
library, so that a benchmark that measures memory can use it in its small parent process.
"""

import os
import platform
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def machine() -> str:
    """CPU model, cores and memory, in one line."""
    names = [x.split(":")[1].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")]
    memory = [int(x.split()[1]) for x in _lines("/proc/meminfo") if x.startswith("MemTotal")]
    parts = [names[0] if names else platform.processor() or platform.machine(), f"{os.cpu_count()} cores"]
    parts += [f"{memory[0] / 2**20:.0f} GiB memory"] if memory else []
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def append(title: str, text: str) -> Path:
    """Add a section ``## title, date`` with the machine below it to RESULTS.md; returns the file's path."""
    before = RESULTS.read_text() if RESULTS.exists() else "# Benchmark results\n"
    RESULTS.write_text(f"{before.rstrip()}\n\n## {title}, {date.today()}\n\n{machine()}.\n\n{text.strip()}\n")
    return RESULTS


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []
