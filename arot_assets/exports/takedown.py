"""Takedowns: a sample leaves every version of every export, and stays out.

Belongs here: finding the versions that contain a sample, and removing them. Does not belong here: the list (``forgotten.py``).
"""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from arot_assets.exports.destinations.destination import HUB
from arot_assets.exports.errors import ExportError
from arot_assets.exports.forgotten import add_forgotten
from arot_assets.exports.versions import ROOT, Receipt, read_manifest, versions
from resources.defaults import Resources
from resources.storage.objects import is_local, join, local_path
from resources.tables import Tables

SHORTEST = 8


@dataclass(frozen=True)
class Published:
    """A version that contains samples that are to be forgotten.

    Attributes:
        export: name of the export.
        receipt: of the version.
        samples: how many of them it contains.
    """

    export: str
    receipt: Receipt
    samples: int


def find_samples(resources: Resources, wanted: Sequence[str]) -> list[str]:
    """Whole sample_ids, from their first digits.

    Raises:
        ExportError: no sample of the store or of an export begins like that, or several do.
    """
    known = _known(resources)
    found = []
    for one in wanted:
        some = sorted(k for k in known if k.startswith(one)) if len(one) >= SHORTEST else []
        if len(some) != 1:
            what = f"{len(some)} samples begin" if some else "no sample begins"
            raise ExportError(f"{what} with '{one}'; give at least {SHORTEST} digits of a sample_id, up to all 32")
        found += some
    return found


def affected(tables: Tables, samples: Collection[str]) -> list[Published]:
    """The versions, of whatever export, that contain any of the samples."""
    found = []
    for name in tables.list(ROOT):
        if "." in name:
            continue
        for receipt in versions(tables, name):
            count = len(set(samples) & set(read_manifest(tables, name, receipt.version)["sample_id"].to_pylist()))
            if count:
                found.append(Published(name, receipt, count))
    return found


def forget(resources: Resources, samples: Sequence[str], why: str) -> list[Published]:
    """Put samples on the list, and remove every version that contains one; returns those that this cannot remove.

    Raises:
        StorageError: a version cannot be removed; the samples are on the list, and calling again goes on.
    """
    tables, storage = resources.tables, resources.storage
    add_forgotten(tables, samples, why, datetime.now(UTC).isoformat(timespec="seconds"))
    left = []
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


def _known(resources: Resources) -> set[str]:
    """Every sample of the store and of the exports."""
    tables = resources.tables
    found: set[str] = set()
    with resources.warehouse.connect() as con:
        for dataset in tables.datasets():
            found |= {str(i) for (i,) in con.execute(f'select sample_id from "{dataset}".samples').fetchall() if i}
    for name in tables.list(ROOT):
        if "." not in name:
            for receipt in versions(tables, name):
                found |= set(read_manifest(tables, name, receipt.version)["sample_id"].to_pylist())
    return found
