"""Pinning an entry: the commit that a revision is now, and the hashes of the files that its family needs.

Belongs here: asking the Hub, and writing the answer into the entry's file. Does not belong here: what pinned means
(``entry.py``).
"""

import fnmatch
import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

from resources.beside import replace_file
from resources.models.entries import CATALOGUE, FOLDER, TYPE, find_entry, model_files
from resources.models.entry import Hub, ModelEntry, ModelError
from resources.models.which_family import family_of
from resources.root import project_root
from resources.storage import Storage, StorageError

ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")
"""The beginning of a commit, as model cards and pages quote it."""


def pin(name: str, storage: Storage) -> tuple[Hub, Path]:
    """Write commit and hashes into an entry's file; one of the catalogue becomes a file of the project, which precedes it.

    A commit may be abbreviated. Files that the entry names already are kept; without any, those of the repository that the family
    reads are taken. The comments of the file are lost, the order of its fields is kept.

    Returns:
        The pinned weights and the file.

    Raises:
        ModelError: no such entry, not of the Hub, or the Hub cannot be asked.
    """
    entry, file = find_entry(name), model_files()[name]
    if not isinstance(entry.weights, Hub):
        raise ModelError(
            f"model '{name}': only weights of the Hub have a revision to pin; these are {entry.weights.release}"
        )
    said: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if "weights" not in said["attributes"]:
        tower = entry.takes.partition(".")[0]
        raise ModelError(f"model '{name}': its weights are those of '{tower}'; `arot models pin {tower}` pins both")
    try:
        pinned = _pinned(entry, entry.weights, storage)
    except StorageError as error:
        raise ModelError(f"model '{name}': {error}") from error
    said["attributes"]["weights"] = {"repo": pinned.repo, "revision": pinned.revision, "files": dict(pinned.files)}
    assert said["type"] == TYPE, "it was read as an entry"
    if file.parent == CATALOGUE:
        file = project_root() / FOLDER / file.name
        file.parent.mkdir(exist_ok=True)
    replace_file(file, yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=120))
    return pinned, file


def _pinned(entry: ModelEntry, weights: Hub, storage: Storage) -> Hub:
    commit = _commit(weights, storage)
    root = f"hf://models/{weights.repo}@{commit}"
    there = sorted(found.uri.partition(f"@{commit}/")[2] for found in storage.ls(root))
    patterns = [*family_of(entry).FILES, *(["*.py"] if entry.trust_remote_code else [])]
    wanted = list(weights.files) or [p for p in there if any(fnmatch.fnmatch(p, pattern) for pattern in patterns)]
    if not wanted:
        raise ModelError(
            f"model '{entry.name}': {weights.repo} has none of the files that the family {entry.family} reads "
            f"({', '.join(family_of(entry).FILES)}); it has: {', '.join(there[:20])}. Name them as `weights.files`"
        )
    return Hub(weights.repo, commit, {path: _sha256(f"{root}/{path}", storage) for path in wanted})


def _commit(weights: Hub, storage: Storage) -> str:
    from resources.storage.hub.address import HubAddress
    from resources.storage.hub.client import HubClient

    client = HubClient(storage.hub)
    if not ABBREVIATED.fullmatch(weights.revision):
        return str(client.pinned(HubAddress("model", weights.repo, weights.revision or None)).revision)
    address = HubAddress("model", weights.repo)
    known = client.ask(address, "list commits of", lambda: client.api().list_repo_commits(weights.repo))
    found = [str(one.commit_id) for one in known if one.commit_id.startswith(weights.revision)]
    if len(found) != 1:
        raise StorageError(
            f"{weights.repo} has {len(found)} commits that begin with {weights.revision}", kind="not_found"
        )
    return found[0]


def _sha256(uri: str, storage: Storage) -> str:
    digest = hashlib.sha256()
    with storage.open(uri) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
