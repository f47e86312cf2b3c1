"""What trainers will see of a finished version, read from its files alone: N of N, or which they will not, and why.

Belongs here: the rules that written files must hold, whichever layout they are in. Does not belong here: the rules' words
(``rules.py``), reading a layout's index (``layouts/``).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from random import randrange
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa

from arot_assets.exports.companions import ROLES, companion_folder
from arot_assets.exports.layouts.layout import Layout, LoadedSample
from arot_assets.exports.prepare import faults_of
from arot_assets.exports.rules import RuleName, Violation
from arot_assets.exports.tree import Tree
from arot_assets.media.file import DecodeError
from resources.parallel import grouped, ordered_map

PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9]+")
BOM = b"\xef\xbb\xbf"
SMALLEST_SIDE = 64
READ_AGAIN = 100
"""One in how many media files whose bytes are known is read all the same."""
AT_ONCE = 32
"""Files that a thread looks at before it asks for more."""


@dataclass
class LoaderFindings:
    """What a loader finds in a version.

    Attributes:
        expected: samples of the manifest.
        found: samples that are found with the caption of the manifest, and break no rule.
        violations: everything that is wrong, by file.
    """

    expected: int
    found: int
    violations: list[Violation] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every sample is seen, and nothing else."""
        return self.found == self.expected and not self.violations

    def __str__(self) -> str:
        return f"{self.found:,} of {self.expected:,}"


Found = list[tuple[LoadedSample, list[Violation]]]
"""Every sample that a loader finds, with what is wrong with it."""


class LookedAt(NamedTuple):
    """Files that were looked at where they were written.

    Attributes:
        found: what ``look`` gave.
        sizes: path of each file -> its bytes.
    """

    found: Found
    sizes: Mapping[str, int]


def inspect(tree: Tree, layout: Layout, folders: Sequence[str], medium: str) -> Found:
    """All that is wrong with a version, as far as its files tell; see ``look`` for the arguments."""
    return named(look(tree, layout, folders, medium))


def look(
    tree: Tree,
    layout: Layout,
    folders: Sequence[str],
    medium: str,
    kept: frozenset[RuleName] = frozenset(),
    originals: Mapping[str, str] = MappingProxyType({}),
    proved: Mapping[str, int] = MappingProxyType({}),
) -> Found:
    """Every sample that a loader finds, with what is wrong with it; names are not compared with those of others.

    Args:
        tree: the files of the version.
        layout: how it is arranged.
        folders: media folders of its parts.
        medium: ``image`` or ``video``.
        kept: rules that the declaration lets originals break.
        originals: path of each media file that is an original -> its sample_id, which its bytes must have.
        proved: path of each media file and companion that need not be read -> its bytes; one sample in ``READ_AGAIN``, and of
            few at least that many, are read all the same.
    """
    step = max(1, min(READ_AGAIN, len(proved) // READ_AGAIN))
    first = randrange(step)  # others each time

    def judged(some: Sequence[tuple[int, LoadedSample]]) -> list[tuple[LoadedSample, list[Violation]]]:
        return [(entry, [v for v in judge(number, entry) if v.rule not in kept]) for number, entry in some]

    def judge(number: int, entry: LoadedSample) -> Iterator[Violation]:
        yield from _caption(entry)
        known = {} if number % step == first else proved
        size = known.get(entry.path)
        if size is None or entry.size is None:
            yield from judge_media(entry, medium, originals.get(entry.path))
        elif (there := entry.size()) != size:
            yield Violation("unreadable", entry.path, f"it has {there:,} bytes instead of {size:,}")
        yield from judge_companions(entry, medium, known)

    with closing(ordered_map(judged, grouped(enumerate(layout.entries(tree, folders)), AT_ONCE))) as results:
        return [one for some in results for one in some]


def see(
    tree: Tree,
    layout: Layout,
    folders: Sequence[str],
    medium: str,
    manifest: pa.Table,
    kept: frozenset[RuleName] = frozenset(),
    proved: Mapping[str, int] = MappingProxyType({}),
    looked_at: LookedAt | None = None,
) -> LoaderFindings:
    """Compare what a loader finds with the manifest.

    Args:
        tree: the files of the version, and the following: as in ``look``.
        layout: how it is arranged.
        folders: media folders of its parts.
        medium: ``image`` or ``video``.
        manifest: what was written.
        kept: rules that the declaration lets originals break.
        proved: as in ``look``.
        looked_at: the files with the samples, if they were looked at already; then only whether they are there is.
    """
    paths, captions, ids, made = (manifest[n].to_pylist() for n in ("path", "caption", "sample_id", "made"))
    wanted: dict[str, str] = dict(zip(paths, captions, strict=True))
    roles = companions_of(manifest)
    seen = LoaderFindings(len(wanted), 0)
    if looked_at is None:
        originals = {path: one for path, one, how in zip(paths, ids, made, strict=True) if how == "original"}
        found = look(tree, layout, folders, medium, kept, originals, proved)
    else:
        found = looked_at.found
        for path, size in looked_at.sizes.items():
            there = tree.file(path)
            if there is None or there.size() != size:
                seen.violations.append(Violation("missing_file", path, f"it is not there with its {size:,} bytes"))
    left = set(wanted)
    for entry, violations in named(found):
        seen.violations += violations
        if entry.path not in wanted:
            seen.violations.append(Violation("foreign_file", entry.path, "it is not of this version"))
            continue
        left.discard(entry.path)
        lacks = [r for r in roles.get(entry.path, {}) if r not in entry.companions]
        violations = [*violations, *(Violation("companion_missing", entry.path, f"it has no {r}") for r in lacks)]
        seen.violations += violations[len(violations) - len(lacks) :]
        if entry.caption is not None and entry.caption.decode("utf-8", "replace") != wanted[entry.path]:
            text = f"its caption is not the one that was exported: {entry.caption[:60]!r}"
            seen.violations.append(Violation("caption_missing", entry.path, text))
        elif not violations:
            seen.found += 1
    seen.violations += _foreign(tree, folders, roles)
    seen.violations += [Violation("missing_file", path, "it is not there") for path in sorted(left)]
    return seen


def _caption(entry: LoadedSample) -> Iterator[Violation]:
    """The rules of captions."""
    data, path = entry.caption, entry.path
    if data is None:
        yield Violation("caption_missing", path, "it has none")
        return
    if data.startswith(BOM):
        yield Violation("caption_encoding", path, "it begins with a byte order mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        yield Violation("caption_encoding", path, f"byte {error.start} is not UTF-8")
        return
    if not text.strip():
        yield Violation("caption_missing", path, "it is empty")
    elif "\n" in text or "\r" in text:
        yield Violation("caption_lines", path, f"{len(text.splitlines())} lines, or a line break at its end")


def judge_media(entry: LoadedSample, medium: str, sample_id: str | None) -> Iterator[Violation]:
    """The rules of media files; an original has the bytes that its sample's id is of.

    Args:
        entry: the file.
        medium: ``image`` or ``video``.
        sample_id: of an original; None for other files.
    """
    path = entry.path
    if entry.read is None:
        yield Violation("missing_file", path, "it is listed and not there")
        return
    data = entry.read()
    if sample_id is not None and hashlib.sha256(data).hexdigest()[: len(sample_id)] != sample_id:
        yield Violation("unreadable", path, "its bytes are not those that were chosen")
    try:
        width, height, rules = _clip(data) if medium == "video" else _picture(data)
    except DecodeError as error:
        yield Violation("unreadable", path, error.reason)
        return
    if min(width, height) < SMALLEST_SIDE:
        yield Violation("small_side", path, f"{width}x{height}")
    for rule, text in rules.items():
        yield Violation(rule, path, text)


def _picture(data: bytes) -> tuple[int, int, Mapping[RuleName, str]]:
    found = faults_of(data)
    return found.width, found.height, dict.fromkeys(found.rules, f"{found.format} of the original")


def _clip(data: bytes) -> tuple[int, int, Mapping[RuleName, str]]:
    from arot_assets.exports.clip import clip_facts

    facts = clip_facts(data)
    return facts.width, facts.height, facts.faults


def judge_companions(
    entry: LoadedSample, medium: str, proved: Mapping[str, int] = MappingProxyType({})
) -> Iterator[Violation]:
    """The rules of masks and controls: each is its sample's, can be read, and lies over it.

    Args:
        entry: the sample.
        medium: ``image`` or ``video``.
        proved: path of each that need not be read -> its bytes.
    """
    stem = entry.path.rpartition("/")[2].rpartition(".")[0]
    for role, (path, read) in entry.companions.items():
        if read is None:
            yield Violation("companion_missing", entry.path, f"its {role} {path} is listed and not there")
        elif path.rpartition("/")[2].partition(".")[0] != stem:
            yield Violation("companion_missing", entry.path, f"its {role} {path} is another sample's")
        elif path in proved and role in entry.sizes:
            if (there := entry.sizes[role]()) != proved[path]:
                yield Violation("unreadable", path, f"it has {there:,} bytes instead of {proved[path]:,}")
        elif entry.read is not None:
            find = _clip if medium == "video" else _picture
            try:
                one, other = find(entry.read())[:2], find(read())[:2]
            except DecodeError as error:
                yield Violation("unreadable", path, error.reason)
                continue
            if one != other:
                text = f"its {role} has {other[0]}x{other[1]} pixels instead of {one[0]}x{one[1]}"
                yield Violation("companion_shape", entry.path, text)


def companions_of(manifest: pa.Table) -> dict[str, dict[str, str]]:
    """Path of a media file -> role -> path of its companion."""
    found: dict[str, dict[str, str]] = {}
    for role in (r for r in ROLES if r in manifest.column_names):
        for path, one in zip(manifest["path"].to_pylist(), manifest[role].to_pylist(), strict=True):
            if one is not None:
                found.setdefault(path, {})[role] = one
    return found


def _foreign(tree: Tree, folders: Sequence[str], roles: Mapping[str, Mapping[str, str]]) -> Iterator[Violation]:
    """Files beside the companions that belong to no sample: sd-scripts stops at them."""
    wanted = {path for one in roles.values() for path in one.values()}
    for beside in (companion_folder(role, part) for role in ROLES for part in folders):
        for name in tree.names(beside, every=True):
            if f"{beside}/{name}" not in wanted:
                yield Violation("foreign_file", f"{beside}/{name}", "it is no sample's")


def named(found: Found) -> Found:
    """The same, with the rules of names, which hold over all files of a version."""
    by_path = {entry.path: some for entry, some in found}
    for violation in _names([entry.path for entry, _ in found]):
        by_path[violation.subject].append(violation)
    return found


def _names(paths: Sequence[str]) -> Iterator[Violation]:
    """The rules of names, over all files of a version."""
    stems = Counter(path.rpartition(".")[0] for path in paths)
    folded = Counter(path.casefold() for path in paths)
    for path in paths:
        if not PLAIN_NAME.fullmatch(path.rpartition("/")[2]):
            yield Violation("name", path, "it has other characters, or no extension")
        if stems[path.rpartition(".")[0]] > 1:
            yield Violation("stem", path, "another file has the same stem")
        elif folded[path.casefold()] > 1:
            yield Violation("name", path, "another name differs only in case, or is listed twice")
