"""Members of an archive that belong together by their key, as in WebDataset.

Belongs here: which sidecars belong to which files of a tar or zip because their names are equal up to the first dot.
Does not belong here: sidecars with the same stem (``arot_assets.datasets.pairing``), and their contents (``sidecars``).

``000.left.png``, ``000.right.png`` and ``000.txt`` form one sample with the key ``000``: the text belongs to both
files. A sidecar with the stem of a file (``22.05.png``, ``22.05.txt``) belongs to that file alone. See the file format
of WebDataset.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from resources.storage.member_address import MARK


def keyed_sidecars(objects: Iterable[str], stems: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The sidecars of each key that do not belong to a single file: key -> extension -> uri.

    Args:
        objects: uris of the files that they may belong to.
        stems: uri without extension -> extension -> uri of the sidecar (``pairing.sidecar_stems``).
    """
    alone = set()
    for uri in objects:
        if MARK in uri:
            alone |= {uri, uri.rpartition(".")[0]}
    keys: dict[str, dict[str, str]] = defaultdict(dict)
    for stem in sorted(stems, key=lambda s: (len(s), s), reverse=True):  # the shortest name takes precedence
        if MARK in stem and stem not in alone:
            keys[key_of(stem)].update(stems[stem])
    return dict(keys)


def key_of(uri: str) -> str:
    """A member's address up to the first dot of its name; a leading dot does not count."""
    folder, slash, name = uri.rpartition("/")
    bare = name.lstrip(".")
    return f"{folder}{slash}{name[: len(name) - len(bare)]}{bare.partition('.')[0]}"
