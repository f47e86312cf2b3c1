"""Takedowns: a sample leaves every version of every export.

Belongs here: finding the versions that contain a sample, and removing them. Does not belong here: everything else that the store
has of it (``arot_assets.takedown``), the list that keeps it out (``datasets.forgotten``).
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass

from arot_assets.exports.destinations.choice import HUB
from arot_assets.exports.destinations.folder import FolderDestination
from arot_assets.exports.versions import ROOT, Receipt, read_manifest, versions
from resources.defaults import Resources
from resources.storage.objects import is_local, join, local_path
from resources.tables import Tables


@dataclass(frozen=True)
class PublishedVersion:
    """A version that contains samples that are to be forgotten.

    Attributes:
        export: name of the export.
        receipt: of the version.
        samples: how many of them it contains.
    """

    export: str
    receipt: Receipt
    samples: int


def affected(tables: Tables, samples: Collection[str]) -> list[PublishedVersion]:
    """The versions, of whatever export, that contain any of the samples."""
    found = []
    for name in tables.list(ROOT):
        if "." in name:
            continue
        for receipt in versions(tables, name):
            count = len(set(samples) & set(read_manifest(tables, name, receipt.version)["sample_id"].to_pylist()))
            if count:
                found.append(PublishedVersion(name, receipt, count))
    return found


def remove_versions(resources: Resources, samples: Collection[str]) -> list[PublishedVersion]:
    """Remove every version that contains one of the samples; returns those that this cannot remove.

    Raises:
        StorageError: a version cannot be removed; calling again goes on.
    """
    tables, storage = resources.tables, resources.storage
    left = []
    for root in _folders(tables):
        FolderDestination(root).remove_stale()
    for one in affected(tables, samples):
        records = join(tables.root, ROOT, one.export, one.receipt.version)
        if one.receipt.place.startswith(HUB):
            left.append(one)  # its records stay, so that the place stays known
            continue
        for place in dict.fromkeys((one.receipt.place, records)):
            if not storage.is_folder(place):
                continue
            if is_local(place):
                shutil.rmtree(local_path(place))
                continue
            for file in storage.ls(place):
                storage.delete(file.uri)
    return left


def _folders(tables: Tables) -> list[str]:
    """The local folders in which versions of exports are, or were begun."""
    names = [name for name in tables.list(ROOT) if "." not in name]
    roots = {join(tables.root, ROOT, name) for name in names}
    roots |= {receipt.place.rpartition("/")[0] for name in names for receipt in versions(tables, name)}
    return sorted(root for root in roots if is_local(root) and not root.startswith(HUB))
