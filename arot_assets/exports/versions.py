"""The records of an export's versions in the store: what was written, from what, where it is, and what changed.

Belongs here: reading and writing those records, and comparing two versions. Does not belong here: writing media (``build.py``).

``exports/<name>/<version>/`` has ``manifest.parquet`` (a row a sample), ``buckets.parquet`` (a row a sample and trainer),
``left_out.parquet``, ``lineage.json`` and, written last, ``receipt.json``: a version without it is not complete. The version that
is current is named in ``exports/<name>/current.json``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from arot_assets.exports.errors import ExportError
from resources.tables import StoreFile, Tables

ROOT = "exports"
RECEIPT, MANIFEST, BUCKETS, LEFT_OUT, LINEAGE = (
    "receipt.json",
    "manifest.parquet",
    "buckets.parquet",
    "left_out.parquet",
    "lineage.json",
)
RECORDS = (RECEIPT, MANIFEST, BUCKETS, LEFT_OUT, LINEAGE)
CURRENT = "current.json"
VERSION_DIGITS = 16

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string()),
        pa.field("part", pa.string(), metadata={"description": "the subset that it is of"}),
        pa.field("dataset", pa.string()),
        pa.field("uri", pa.string(), metadata={"description": "the original, below its source"}),
        pa.field("path", pa.string(), metadata={"description": "of the media file, below the version's folder"}),
        pa.field("caption", pa.string(), metadata={"description": "the text that is trained"}),
        pa.field("width", pa.int32(), metadata={"description": "pixels of the file that was written"}),
        pa.field("height", pa.int32(), metadata={"description": "pixels of the file that was written"}),
        pa.field("frames", pa.int32()),
        pa.field("bytes", pa.int64(), metadata={"description": "size of the file that was written"}),
        pa.field(
            "key", pa.string(), metadata={"description": "digest of the original and of all that changes its bytes"}
        ),
        pa.field("made", pa.string(), metadata={"description": "original, stripped or encoded"}),
        pa.field("broken", pa.list_(pa.string()), metadata={"description": "rules that the original breaks"}),
        pa.field("mask", pa.string(), metadata={"description": "path of its mask, below the version's folder"}),
        pa.field("mask_key", pa.string(), metadata={"description": "digest of the mask and of all that changes it"}),
        *(
            pa.field(f"{name}{end}", pa.string(), metadata={"description": text})
            for name in ("control", "control_2", "control_3")
            for end, text in (
                ("", "path of its control, below the version's folder"),
                ("_key", "digest of the control and of all that changes it"),
            )
        ),
    ]
)
LEFT_OUT_SCHEMA = pa.schema([("rule", pa.string()), ("subject", pa.string()), ("text", pa.string())])


@dataclass(frozen=True)
class Receipt:
    """What a finished version is.

    Attributes:
        version: 16 hex digits.
        inputs: digest of the rows and settings; the same inputs need no new version.
        place: where its media are: a folder of some scheme, or a repository on the Hub.
        samples: number of samples.
        bytes: of all media files.
        made_at: when, in UTC.
        left_out: number of samples that a rule left out.
        noted: rule -> samples that were mended, or kept in spite of it.
        folders: media folders of the parts.
        medium: ``image`` or ``video``.
        commit: the commit on the Hub; empty elsewhere.
    """

    version: str
    inputs: str
    place: str
    samples: int
    bytes: int
    made_at: str
    left_out: int = 0
    noted: Mapping[str, int] = field(default_factory=dict)
    folders: Sequence[str] = ()
    medium: str = "image"
    commit: str = ""


@dataclass(frozen=True)
class VersionDifference:
    """From one version to another.

    Attributes:
        added: rows of the new manifest.
        removed: rows of the old manifest.
        recaptioned: old and new caption, path.
        rewritten: paths whose media changed, with the reason.
        why: what changed in the lineage: SQL, tables, models, settings.
    """

    added: Sequence[Mapping[str, Any]]
    removed: Sequence[Mapping[str, Any]]
    recaptioned: Sequence[tuple[str, str, str]]
    rewritten: Sequence[str]
    why: Sequence[str]


def record(name: str, version: str, file: str) -> StoreFile:
    """A file of a version's records."""
    return StoreFile(f"{ROOT}/{name}/{version}/{file}")


def write_records(
    tables: Tables,
    name: str,
    receipt: Receipt,
    manifest: pa.Table,
    buckets: pa.Table,
    left_out: pa.Table,
    lineage: Mapping[str, Any],
) -> None:
    """Write the records of a version whose media are complete; the receipt comes last, and then it is the current one."""
    version = receipt.version
    tables.write(manifest, record(name, version, MANIFEST))
    tables.write(buckets, record(name, version, BUCKETS))
    tables.write(left_out, record(name, version, LEFT_OUT))
    tables.write_bytes(_json(lineage), record(name, version, LINEAGE))
    tables.write_bytes(_json(asdict(receipt)), record(name, version, RECEIPT))
    make_current(tables, name, version)


def make_current(tables: Tables, name: str, version: str) -> None:
    """Make a complete version the current one, in one step."""
    tables.write_bytes(_json({"version": version}), StoreFile(f"{ROOT}/{name}/{CURRENT}"))


def versions(tables: Tables, name: str) -> list[Receipt]:
    """The complete versions of an export, oldest first."""
    found = [read_receipt(tables, name, v) for v in tables.list(f"{ROOT}/{name}") if "." not in v]
    return sorted((r for r in found if r is not None), key=lambda r: r.made_at)


def read_receipt(tables: Tables, name: str, version: str) -> Receipt | None:
    """The receipt of a version; None if it is not complete."""
    place = record(name, version, RECEIPT)
    return Receipt(**json.loads(tables.read_bytes(place))) if tables.exists(place) else None


def current_receipt(tables: Tables, name: str) -> Receipt | None:
    """The receipt of the current version; None if there is none."""
    place = StoreFile(f"{ROOT}/{name}/{CURRENT}")
    if not tables.exists(place):
        return None
    return read_receipt(tables, name, str(json.loads(tables.read_bytes(place))["version"]))


def read_manifest(tables: Tables, name: str, version: str) -> pa.Table:
    """The manifest of a version."""
    return tables.read(record(name, version, MANIFEST))


def find_version(tables: Tables, name: str, wanted: str) -> Receipt:
    """A version by its first digits, or ``current`` and ``previous``.

    Raises:
        ExportError: there is none, or several.
    """
    known = versions(tables, name)
    if not known:
        raise ExportError(f"exports/{name}: there is no version yet; `arot export {name}` writes one")
    if wanted == "current" and (now := current_receipt(tables, name)) is not None:
        return now
    if wanted == "previous":
        now = current_receipt(tables, name)
        older = [r for r in known if now is None or r.made_at < now.made_at]
        if older:
            return older[-1]
        raise ExportError(
            f"exports/{name}: no version is older than {now.version if now else 'the first'}, so there is nothing to compare; "
            "export again after a change, or name two versions"
        )
    found = [r for r in known if r.version.startswith(wanted)]
    if len(found) != 1:
        wrong = f"{len(found)} versions begin with" if found else "there is no version"
        raise ExportError(f"exports/{name}: {wrong} '{wanted}'; choose one of {', '.join(r.version for r in known)}")
    return found[0]


def compare(tables: Tables, name: str, old: str, new: str) -> VersionDifference:
    """What changed between two versions, and why as far as their lineage shows."""
    keys = ("part", "sample_id")
    before, after = (
        {tuple(r[k] for k in keys): r for r in read_manifest(tables, name, v).to_pylist()} for v in (old, new)
    )
    both = [k for k in after if k in before]
    lineages = [json.loads(tables.read_bytes(record(name, v, LINEAGE))) for v in (old, new)]
    return VersionDifference(
        added=[after[k] for k in after if k not in before],
        removed=[before[k] for k in before if k not in after],
        recaptioned=[
            (after[k]["path"], before[k]["caption"], after[k]["caption"])
            for k in both
            if before[k]["caption"] != after[k]["caption"]
        ],
        rewritten=[after[k]["path"] for k in both if before[k]["key"] != after[k]["key"]],
        why=list(_changes(*lineages)),
    )


def _changes(old: Any, new: Any, where: str = "") -> list[str]:
    """The places at which two lineages differ, with both values in short."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [line for n in names for line in _changes(old.get(n), new.get(n), f"{where}.{n}" if where else n)]
    if old == new:
        return []
    return [f"{where}: {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    text = " ".join(str(value).split()) if value is not None else "nothing"
    return text if len(text) <= 100 else f"{text[:99]}…"


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n").encode()
