"""A dataset of the Hugging Face Hub as a table, and a table as a dataset: ``hf://owner/repo`` without a path.

Belongs here: which files form which split, reading them whole or row by row, writing a split. Does not belong here:
files with a path (``calls.py`` reads them by their extension), images as assets (``arot_assets.datasets``), publishing
with a card (``arot_assets.exports``).

The files of a split are defined by the card (``configs``) or, without one, by their names, as in ``datasets``: a part
of the path that is called ``train``, ``validation`` (``valid``, ``val``, ``dev``) or ``test`` (``eval``); all others
are ``train``.

The ``datasets`` library was measured for this (``bench/hub_dataset.py``) and does worse: it gives up at the first
broken connection, leaves a copy of one to three times the bytes on disk, takes twice as long for a few columns, and
knows a single server, fixed when it is imported, whereas each ``Storage`` has its own. For its other builders (audio,
text …) it can be used beside this module.
"""

import fnmatch
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resources.notebook.formats import format_of, parse
from resources.notebook.frames import convert, default_library
from resources.storage.hub import commits
from resources.storage.hub.address import HubAddress, is_hub
from resources.storage.hub.address import parse as parse_address
from resources.storage.hub.backend import HubBackend
from resources.storage.hub.commits import Content
from resources.storage.objects import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.storage.storage import Storage

DEFAULT = "default"
TRAIN = "train"
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
TABLE_FILES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")
"""Kinds of files; a dataset consists of the first of these that it contains."""
CARD = "README.md"
BATCH = 1000


def is_dataset(uri: str) -> bool:
    """Whether a URI is a repository of the Hub without a path: a dataset as a whole."""
    return is_hub(uri) and not parse_address(uri).path


def load_dataset(
    storage: "Storage",
    uri: str,
    as_: str | None = None,
    *,
    split: str | None = None,
    revision: str | None = None,
    config: str | None = None,
    columns: Sequence[str] | None = None,
    streaming: bool = False,
) -> Any:
    """A split of a dataset as one table, or its rows one by one.

    Args:
        storage: reaches the Hub.
        uri: ``hf://owner/repo``, optionally with ``@revision``.
        as_: the library of the table.
        split: its name; if None, the only split, or else ``train``.
        revision: the same as ``@revision``.
        config: for a dataset with several.
        columns: only these.
        streaming: return an iterator of dictionaries, in which images are PIL images; files are fetched as it advances.

    Raises:
        StorageError: there is no such dataset, split or config, or it contains no tables.
    """
    address = parse_address(uri)
    if revision is not None:
        if address.revision not in (None, revision):
            raise StorageError(f"'{uri}' and revision={revision!r} name different revisions: keep one", kind="invalid")
        address = address.at(revision)
    hub = storage.using(HubBackend)
    pinned = hub.client.pinned(address, "read")
    files = split_files(storage, pinned, split, config)
    if streaming:
        return _rows(storage, files, columns)
    import pyarrow as pa

    tables = [_table(storage, file, columns) for file in files]
    return convert(pa.concat_tables(tables, promote_options="permissive"), as_ or default_library())


def split_files(storage: "Storage", address: HubAddress, split: str | None, config: str | None) -> list[str]:
    """URIs of the files of a split, in order.

    Raises:
        StorageError: there is no such config or split, or the dataset contains no tables.
    """
    names = sorted(i.uri.removeprefix(f"{address.uri}/") for i in storage.ls(address.uri))
    configs = _of_card(storage, address, names) or _of_names(names)
    if not configs:
        raise StorageError(
            f"'{address.uri}' contains no tables ({' '.join(TABLE_FILES)}); `arot ls` lists its files, and an image in it "
            "is loaded by its path",
            kind="not_found",
        )
    chosen = config or (DEFAULT if DEFAULT in configs else next(iter(configs)) if len(configs) == 1 else None)
    if chosen not in configs:
        asked = f"no config {config!r}" if config else "several configs"
        raise StorageError(
            f"'{address.uri}' has {asked}; pass config= with one of {', '.join(configs)}", kind="not_found"
        )
    splits = configs[chosen]
    wanted = split or (next(iter(splits)) if len(splits) == 1 else TRAIN)
    if wanted not in splits:
        asked = f"no split {split!r}" if split else "no split train"
        raise StorageError(
            f"'{address.uri}' has {asked}; pass split= with one of {', '.join(splits)}", kind="not_found"
        )
    return [address.child(name).uri for name in splits[wanted]]


def _of_card(storage: "Storage", address: HubAddress, names: list[str]) -> dict[str, dict[str, list[str]]]:
    """Config -> split -> files, as the card defines them; empty if it does not."""
    import yaml

    if CARD not in names:
        return {}
    text = storage.read_bytes(address.child(CARD).uri).decode("utf-8", "replace")
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    try:
        said = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:  # an unreadable card defines nothing
        return {}
    configs: dict[str, dict[str, list[str]]] = {}
    entries = said.get("configs") if isinstance(said, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or "data_files" not in entry:
            continue
        files = entry["data_files"]
        if not (isinstance(files, list) and files and isinstance(files[0], dict)):
            files = [{"split": TRAIN, "path": files}]
        splits = {str(one.get("split", TRAIN)): _matching(names, one.get("path")) for one in files}
        configs[str(entry.get("config_name", DEFAULT))] = {s: found for s, found in splits.items() if found}
    return {name: splits for name, splits in configs.items() if splits}


def _matching(names: list[str], patterns: Any) -> list[str]:
    wanted = [patterns] if isinstance(patterns, str) else [p for p in patterns or () if isinstance(p, str)]
    found = [
        n for p in wanted for n in names if fnmatch.fnmatchcase(n, p) or fnmatch.fnmatchcase(n, p.replace("**/", ""))
    ]
    return [n for n in dict.fromkeys(found) if n.lower().endswith(TABLE_FILES)]


def _of_names(names: list[str]) -> dict[str, dict[str, list[str]]]:
    """The same, derived from the names of the files."""
    for extension in TABLE_FILES:
        files = [n for n in names if n.lower().endswith(extension) and not n.startswith(".")]
        splits: dict[str, list[str]] = {}
        for name in files:
            words = re.split(r"[^a-z0-9]+", name.lower())
            split = next((s for s, usual in SPLITS.items() if any(w in usual for w in words)), TRAIN)
            splits.setdefault(split, []).append(name)
        if splits:
            return {DEFAULT: splits}
    return {}


def _table(storage: "Storage", uri: str, columns: Sequence[str] | None) -> "pa.Table":
    kind, _ = format_of(uri)
    options = {"columns": list(columns)} if columns is not None and kind.name in ("CSV", "TSV", "Parquet") else {}
    if kind.ranged:
        with storage.open(uri) as file:
            return parse(file, uri, None, "arrow", options)
    table = parse(io.BytesIO(storage.read_bytes(uri)), uri, None, "arrow", options)
    return table.select(columns) if columns is not None else table


def _rows(storage: "Storage", files: Iterable[str], columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from resources.storage.members.columns import image_places, places

    for uri in files:
        number = 0
        if not uri.lower().endswith(".parquet"):
            yield from _table(storage, uri, columns).to_pylist()
            continue
        try:
            with storage.open(uri) as reader:
                file = pq.ParquetFile(reader)
                found = image_places(file.schema_arrow, places(file.schema_arrow))
                images = [p.name for p in found if p.name == p.column and not p.is_list]
                for batch in file.iter_batches(batch_size=BATCH, columns=None if columns is None else list(columns)):
                    for row in batch.to_pylist():
                        yield row | {c: _image(row[c], f"{uri}!/row/{number:07}/{c}") for c in images if c in row}
                        number += 1
        except pa.ArrowException as error:
            raise StorageError(
                f"cannot read '{uri}' as Parquet: {error}; check that it is complete", kind="format"
            ) from error


def _image(cell: Any, uri: str) -> Any:
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return cell if not isinstance(data, bytes) else parse(io.BytesIO(data), uri, ".jpg", "pil", {})


def save_dataset(
    storage: "Storage",
    data: Any,
    uri: str,
    *,
    split: str = TRAIN,
    private: bool = True,
    message: str = "",
    create_only: bool = False,
    **options: Any,
) -> str:
    """Write a table as a split of a dataset, in one commit; no commit is made if the split already has this content.

    Args:
        storage: reaches the Hub.
        data: a table, a list of dictionaries, or a dictionary of lists.
        uri: ``hf://owner/repo``, optionally with ``@branch``.
        split: the split whose files are replaced.
        private: for a repository that does not exist yet.
        message: the commit message.
        create_only: fail if the split already exists.
        options: of Parquet; by default it uses content-defined chunking, so that only changed parts are uploaded to the
            Hub.

    Returns:
        The URI with the commit.

    Raises:
        StorageError: no token, no permission, or the data is not a table.
    """
    from resources.notebook.formats import encode

    if not re.fullmatch(r"\w+(\.\w+)*", split):
        raise StorageError(f"{split!r} cannot be a split: use letters, digits, underscores and dots", kind="invalid")
    address = parse_address(uri)
    encoded = encode(data, "split.cdc.parquet", None, options)
    hub = storage.using(HubBackend)
    commits.ensure_repo(hub.client, address, private)
    name = f"data/{split}-00000-of-00001.parquet"

    def changes(head: str) -> tuple[Mapping[str, Content], Sequence[str]]:
        listed = (i.uri.removeprefix(f"{address.at(head).uri}/") for i in storage.ls(address.at(head).uri))
        there = [n for n in listed if re.fullmatch(rf"data/{re.escape(split)}-\d+-of-\d+\.parquet", n)]
        if there and create_only:
            raise StorageError(
                f"'{uri}' already has a split {split}, and `create_only` is set; choose another name",
                kind="exists",
            )
        return {name: encoded}, [n for n in there if n != name]

    commit, _ = commits.commit(hub.client, address, message or f"Write the split {split}", changes)
    return address.at(commit).uri
