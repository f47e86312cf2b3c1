"""Which sidecars belong to which objects, by name.

Belongs here: finding the sidecars of each object, and those that belong to none. Does not belong here: their contents
(``sidecars.py``), the keys of members of archives (``keys.py``).

An object ``a/b.png`` has the sidecars ``a/b.EXT`` (same stem) and ``a/b.png.EXT`` (the whole name, which takes
precedence); in archives also those of its key. A sidecar without an object is then matched the way file systems compare
names: macOS stores a different Unicode form (NFD) than most others (NFC), and macOS and Windows do not distinguish
case. Then two habits of tools are followed: a word or a former extension before the sidecar's own (``a.caption.txt``,
``a_caption.txt``, ``a.png.txt`` beside ``a.webp``), and folders of captions beside folders of images
(``captions/a.txt`` and ``images/a.png``). Such a match is accepted only if it is unique and the object has no sidecar of
that kind. Nothing else is guessed: remaining sidecars belong to no object, and are counted and named.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from arot_assets.datasets.keys import key_of, keyed_sidecars
from arot_assets.datasets.sidecars import EXTENSIONS
from resources.storage.member_address import MARK

Fold = Callable[[str], str]

_WORD = re.compile(r"(?<=[^/])[._-](caption|captions|text|txt|tags|prompt)$", re.IGNORECASE)
"""What tools add to the name of an image before the extension of a sidecar."""
_CAPTIONS = frozenset({"caption", "captions", "text", "texts", "txt", "tags", "prompts", "json", "metadata"})
_IMAGES = frozenset({"image", "images", "img", "imgs", "pictures", "photos", "video", "videos"})


@dataclass(frozen=True)
class Pairing:
    """The result of matching.

    Attributes:
        sidecars: for each object, in order, the uris of its sidecars, sorted; at most one of each kind.
        unused: sidecars without an object, sorted.
    """

    sidecars: list[list[str]]
    unused: list[str]


def pair(objects: Sequence[str], sidecars: Sequence[str], extensions: Collection[str] = ()) -> Pairing:
    """Find the sidecars of each object.

    Args:
        objects: uris.
        sidecars: uris of files with one of ``sidecars.EXTENSIONS``, in any order.
        extensions: those that objects may have, with a dot: an object may have had another one before.
    """
    stems = sidecar_stems(sidecars)
    keys = keyed_sidecars(objects, stems)
    found = [{**(keys.get(key_of(u), {}) if keys else {}), **sidecars_of(u, stems)} for u in objects]
    unused = set(sidecars) - {uri for those in found for uri in those.values()}

    def without_former(stem: str) -> str:
        bare, dot, last = _without_word(stem).rpartition(".")
        return without_case(bare if bare and dot + last.lower() in extensions else stem)

    for of_object, of_sidecar, single in (
        (unicode_form, unicode_form, False),
        (without_case, without_case, False),
        (without_case, _without_word, False),
        (without_case, without_former, True),
        (_without_folders, lambda stem: _without_folders(_without_word(stem)), False),
    ):
        if unused:
            unused -= _pair_loosely(of_object, of_sidecar, objects, found, unused, single)
    return Pairing([sorted(those.values()) for those in found], sorted(unused))


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


def _without_word(stem: str) -> str:
    """The address of a sidecar without its extension, and without a word such as ``.caption`` or ``_tags``."""
    return without_case(_WORD.sub("", stem))


def _without_folders(uri: str) -> str:
    """An address without the folders that are named after what is in them."""
    *folders, name = without_case(uri).split("/")
    return "/".join([*(folder for folder in folders if folder.lower() not in _CAPTIONS | _IMAGES), name])


def _pair_loosely(
    of_object: Fold,
    of_sidecar: Fold,
    objects: Sequence[str],
    found: Sequence[dict[str, str]],
    unused: set[str],
    single: bool,
) -> set[str]:
    """Assign unused sidecars to objects whose names match after folding; returns those that were assigned.

    Args:
        of_object: folds the names of objects.
        of_sidecar: folds the names of sidecars, without their extension.
        objects: uris.
        found: for each object its sidecars by kind; extended in place.
        unused: uris of the sidecars.
        single: whether a sidecar may belong to one object only, even if several have the same stem.
    """
    claims: dict[str, list[dict[str, str]]] = defaultdict(list)
    for stem, of_stem in sidecar_stems(unused).items():
        claims[of_sidecar(stem)].append(of_stem)
    folders = {folded.rpartition("/")[0] for folded in claims}
    wanting: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, uri in enumerate(objects):
        if of_object(uri).rpartition("/")[0] not in folders:
            continue
        for name in dict.fromkeys((uri, _stem(uri), key_of(uri) if MARK in uri else uri)):
            if name and of_object(name) in claims:
                wanting[of_object(name)][name].append(number)
    taken: set[str] = set()
    for folded, names in sorted(
        wanting.items(), key=lambda item: -len(item[0])
    ):  # the whole name takes precedence over the stem
        kinds = [kind for claim in claims[folded] for kind in claim]
        of_name = next(iter(names.values()))
        for claim in claims[folded]:
            for kind, sidecar in claim.items():
                if len(names) > 1 or kinds.count(kind) > 1 or (single and len(of_name) > 1):
                    continue  # ambiguous
                for number in of_name:
                    if found[number].setdefault(kind, sidecar) == sidecar:
                        taken.add(sidecar)
    return taken


def _stem(uri: str) -> str:
    """An address without the extension of its name; empty if it has none."""
    folder, slash, name = uri.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return folder + slash + stem if dot and stem else ""
