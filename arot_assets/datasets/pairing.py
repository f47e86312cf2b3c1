"""Which sidecars belong to which objects, by name.

Belongs here: finding the sidecars of each object, and those that belong to none. Does not belong here: their contents
(``sidecars.py``), the keys of members of archives (``sources/keys.py``).

An object ``a/b.png`` has the sidecars ``a/b.EXT`` (same stem) and ``a/b.png.EXT`` (the whole name, which takes
precedence); in archives also those of its key. A sidecar without an object is then matched the way file systems compare
names: macOS stores a different Unicode form (NFD) than most others (NFC), and macOS and Windows do not distinguish
case. Such a match is accepted only if it is unique and the object has no sidecar of that kind. Nothing else is guessed:
remaining sidecars belong to no object, and are counted and named.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from arot_assets.datasets.sidecars import EXTENSIONS
from arot_assets.datasets.sources.keys import key_of, keyed_sidecars
from resources.storage.member_address import MARK

Fold = Callable[[str], str]


@dataclass(frozen=True)
class Pairs:
    """The result of matching.

    Attributes:
        sidecars: for each object, in order, the uris of its sidecars, sorted; at most one of each kind.
        unused: sidecars without an object, sorted.
    """

    sidecars: list[list[str]]
    unused: list[str]


def pair(objects: Sequence[str], sidecars: Sequence[str]) -> Pairs:
    """Find the sidecars of each object.

    Args:
        objects: uris.
        sidecars: uris of files with one of ``sidecars.EXTENSIONS``, in any order.
    """
    stems = sidecar_stems(sidecars)
    keys = keyed_sidecars(objects, stems)
    found = [{**(keys.get(key_of(u), {}) if keys else {}), **sidecars_of(u, stems)} for u in objects]
    unused = set(sidecars) - {uri for those in found for uri in those.values()}
    for fold in (unicode_form, without_case):
        if unused:
            unused -= _pair_loosely(fold, objects, found, unused)
    return Pairs([sorted(those.values()) for those in found], sorted(unused))


def sidecar_stems(uris: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sidecars by URI without extension: ``{"a/b": {"txt": "a/b.txt"}}``. Other files are ignored.

    Of two names that differ only in the case of the extension, the first in code point order is used.
    """
    stems: dict[str, dict[str, str]] = {}
    for uri in uris:
        stem, dot, extension = uri.rpartition(".")
        extension = extension.lower()
        if dot and extension in EXTENSIONS and not stem.endswith("/"):
            known = stems.setdefault(stem, {})
            known[extension] = min(uri, known.get(extension, uri))
    return stems


def sidecars_of(uri: str, stems: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The sidecars ``{extension: uri}`` of an object, from what ``sidecar_stems`` returned."""
    return {**stems.get(_stem(uri), {}), **stems.get(uri, {})}


def unicode_form(uri: str) -> str:
    """An address in Unicode's composed form, NFC."""
    return uri if uri.isascii() else unicodedata.normalize("NFC", uri)


def without_case(uri: str) -> str:
    """An address in NFC, with its last part case-folded."""
    folder, slash, name = unicode_form(uri).rpartition("/")
    return f"{folder}{slash}{unicode_form(name.casefold())}"


def _pair_loosely(fold: Fold, objects: Sequence[str], found: Sequence[dict[str, str]], unused: set[str]) -> set[str]:
    """Assign unused sidecars to objects whose names match after folding; returns those that were assigned."""
    claims: dict[str, list[dict[str, str]]] = defaultdict(list)
    for stem, of_stem in sidecar_stems(unused).items():
        claims[fold(stem)].append(of_stem)
    folders = {folded.rpartition("/")[0] for folded in claims}
    wanting: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, uri in enumerate(objects):
        if fold(uri).rpartition("/")[0] not in folders:
            continue
        for name in dict.fromkeys((uri, _stem(uri), key_of(uri) if MARK in uri else uri)):
            if name and fold(name) in claims:
                wanting[fold(name)][name].append(number)
    taken: set[str] = set()
    for folded, names in sorted(
        wanting.items(), key=lambda item: -len(item[0])
    ):  # the whole name takes precedence over the stem
        kinds = [kind for claim in claims[folded] for kind in claim]
        for claim in claims[folded]:
            for kind, sidecar in claim.items():
                if len(names) > 1 or kinds.count(kind) > 1:
                    continue  # ambiguous
                for number in next(iter(names.values())):
                    if found[number].setdefault(kind, sidecar) == sidecar:
                        taken.add(sidecar)
    return taken


def _stem(uri: str) -> str:
    """An address without the extension of its name; empty if it has none."""
    folder, slash, name = uri.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return folder + slash + stem if dot and stem else ""
