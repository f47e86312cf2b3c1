"""How often the samples of each subset of an export are seen in an epoch: as declared, or as their shares ask for.

Belongs here: whole repeats from shares, and shares from repeats. Does not belong here: how a trainer is told (``trainers/``).

Trainers repeat samples a whole number of times, and an epoch may be as long as it likes: so shares become the smallest whole
repeats that come close to them, and each sample of each subset is seen.
"""

from collections.abc import Mapping

from arot_assets.exports.export import ExportDeclaration

CLOSE = 0.005
"""Shares that differ by less, half a per cent of an epoch, are as declared."""
MOST = 50
"""Repeats of the rarest sample that are tried; with so many, no share is further off than half a per cent."""


def repeats_of(declaration: ExportDeclaration, counts: Mapping[str, int]) -> dict[str, int]:
    """Subset -> times that each of its samples is seen in an epoch.

    Args:
        declaration: with the repeats or the shares.
        counts: samples of each subset, in the order of the declaration; those without samples have no share.
    """
    shares = declaration.shares
    if shares is None:
        return {part: declaration.repeats_of(part) for part in counts}
    asked = {part: shares[part] for part, count in counts.items() if count}
    total = sum(asked.values())
    asked = {part: share / total for part, share in asked.items()}
    rarest = min(share / counts[part] for part, share in asked.items())
    best: tuple[float, dict[str, int]] | None = None
    for least in range(1, MOST + 1):
        repeats = {part: max(1, round(least * share / counts[part] / rarest)) for part, share in asked.items()}
        seen = shares_of(repeats, counts)
        off = max(abs(seen[part] - share) for part, share in asked.items())
        if best is None or off < best[0]:
            best = off, repeats
        if off <= CLOSE:
            break
    assert best is not None, "it is tried at least once"
    return {part: best[1].get(part, 1) for part in counts}


def shares_of(repeats: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, float]:
    """Subset -> its share of an epoch, 0 to 1."""
    total = sum(repeats[part] * counts[part] for part in repeats)
    return {part: times * counts[part] / total if total else 0.0 for part, times in repeats.items()}


def mix_rows(repeats: Mapping[str, int], counts: Mapping[str, int]) -> list[dict[str, str | int]]:
    """A row for each of several subsets, for people; none for one."""
    if len(repeats) < 2:
        return []
    shares = shares_of(repeats, counts)
    return [
        {"subset": part, "samples": counts[part], "repeats": times, "of an epoch": f"{shares[part]:.1%}"}
        for part, times in repeats.items()
    ]
