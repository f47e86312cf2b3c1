"""What ``scale.py`` says of its measurements: the steps, how each grows, and whether the requirements hold.

Belongs here: limits, ratios, tables. Does not belong here: measuring (``scale_bench.py``).
"""

import os
from collections.abc import Iterator, Sequence

from scale_bench import BARE_WALK, HAND, POLARS, RUN, STATUS, WIDE, Bench, Measured

from arot_assets.markdown import write_table

JOIN_RATIO = 1.2
"""A join of ten metrics with three filters takes at most this, of polars over the same files."""
RUN_SECONDS, RUN_MB = 60.0, 2000.0
STATUS_SECONDS = 5.0
"""Of ten million samples; fewer may not take longer."""
NOISE = 1.1
"""Growth up to this beyond linear counts as linear: CPU seconds of the same work vary by so much on a shared machine."""
GOALS = 10_000_000


def report(benches: Sequence[Bench]) -> str:
    """The sections for RESULTS.md: steps of each size, growth, requirements."""
    cores, load = os.cpu_count() or 1, os.getloadavg()[1]
    parts = [
        f"`python bench/scale.py --rows {','.join(str(b.rows) for b in benches)}`: synthetic tables, shards of 5,000, files in "
        f"the page cache; medians of {benches[0].rounds}; peak memory of a separate process. Times of tables exclude the "
        "start of Python and imports, times of commands include them; joins include their connection. CPU seconds are of all "
        f"threads. Load average at the end: {load:.1f} (five minutes) on {cores} cores"
        + (": seconds of the clock count the work of others, so CPU seconds decide." if load > cores else ".")
    ]
    for bench in benches:
        parts += ["", f"**{bench.rows:,} samples, {-(-bench.rows // 5000):,} shards**", ""]
        rows = [(m.what, f"{m.seconds:.2f}", f"{m.cpu:.2f}", f"{m.mib:,.0f}", m.note) for m in bench.lines]
        parts.append(write_table(("step", "seconds", "CPU s", "peak MiB", "what came out"), rows))
    small, large = min(benches, key=lambda b: b.rows), max(benches, key=lambda b: b.rows)
    if large.rows > small.rows:
        factor = large.rows / small.rows
        parts += ["", f"**Growth from {small.rows:,} to {large.rows:,}, {factor:.1f} x the samples**", ""]
        grown = [_growth_row(before, after, factor) for before, after in _both(small, large)]
        parts.append(write_table(("step", "CPU", "seconds", "peak memory", "at most linear"), grown))
    parts += ["", "**Requirements**", ""]
    parts += [f"- {line}" for line in verdicts(benches)]
    return "\n".join(parts)


def verdicts(benches: Sequence[Bench]) -> Iterator[str]:
    """One line for each requirement: what was measured, the limit, whether it holds."""
    small, large = min(benches, key=lambda b: b.rows), max(benches, key=lambda b: b.rows)
    for what, limit in ((RUN, RUN_SECONDS), (STATUS, STATUS_SECONDS)):
        if line := large.line(what):
            size = _size(large)
            yield f"{what}, {size}: {_seconds(line, limit)}"
            if what == RUN:
                mb = line.mib * 2**20 / 1e6
                yield f"{what}, {size}: {mb:,.0f} MB, limit {RUN_MB:,.0f}: {_word(mb <= RUN_MB)}"
    for bench in benches:
        polars = bench.line(POLARS)
        for what in (HAND, WIDE):
            line = bench.line(what)
            if line and polars:
                cpu, wall = line.cpu / polars.cpu, line.seconds / polars.seconds
                yield (
                    f"{what}, {_size(bench)}: {cpu:.2f} x polars in CPU seconds, {wall:.2f} x by the clock, "
                    f"{line.mib / polars.mib:.2f} x its memory; limit {JOIN_RATIO} x: {_word(cpu <= JOIN_RATIO)}"
                )
    if large.rows > small.rows:
        factor = large.rows / small.rows
        ours = [(before, after) for before, after in _both(small, large) if before.what not in (POLARS, BARE_WALK)]
        over = [after.what for before, after in ours if not _is_linear(before, after, factor)]
        yield f"growth of {len(ours)} steps of arot at most linear: {_word(not over)}" + "".join(
            f"; {what} grows faster" for what in over
        )


def _size(bench: Bench) -> str:
    return f"{bench.rows:,} samples" + ("" if bench.rows >= GOALS else f" (asked for at {GOALS:,})")


def _both(small: Bench, large: Bench) -> list[tuple[Measured, Measured]]:
    pairs = [(line, large.line(line.what)) for line in small.lines]
    return [(before, after) for before, after in pairs if after is not None]


def _growth_row(before: Measured, after: Measured, factor: float) -> tuple[str, ...]:
    ratios = (after.cpu / before.cpu, after.seconds / before.seconds, after.mib / before.mib)
    return (before.what, *(f"{ratio:.1f} x" for ratio in ratios), "yes" if _is_linear(before, after, factor) else "NO")


def _is_linear(before: Measured, after: Measured, factor: float) -> bool:
    return after.cpu <= NOISE * factor * before.cpu and after.mib <= NOISE * factor * before.mib


def _seconds(line: Measured, limit: float) -> str:
    if line.seconds <= limit:
        held = "held"
    elif line.cpu <= limit and os.getloadavg()[1] > (os.cpu_count() or 1):
        held = "held in CPU seconds, not by the clock of a machine that others use"
    else:
        held = "MISSED"
    return f"{line.seconds:.1f} s, {line.cpu:.1f} s of CPU, limit {limit:.0f} s: {held}"


def _word(holds: bool) -> str:
    return "held" if holds else "MISSED"
