"""Data sets of the Hugging Face Hub as a source: image folders, pictures in Parquet, WebDataset tars.

Belongs here: listing a repository at a commit, and the ``metadata`` files of image folders. Does not belong here: archives
(``archives.py``), asking the Hub (``resources.storage.hub.backend``).

The URI of an object names the commit at which it was first seen as it is. A new commit therefore changes only the rows of
files whose content changed, and every row can be read again as it was, whatever the branch is at.
"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import Archives, DatasetDeclaration
from arot_assets.datasets.objects import FOUND
from arot_assets.datasets.sources.archives import metadata_of
from arot_assets.datasets.sources.listed import CAPTION_COLUMNS, TAGS_COLUMNS, choose
from arot_assets.datasets.sources.rows import read_rows
from resources.storage import Storage, StorageError
from resources.storage.hub.address import parse
from resources.storage.hub.backend import HubBackend

HOUSEKEEPING = r"(?i)/(\.[^/]*|readme[^/]*|licen[cs]e[^/]*|notice[^/]*)$"
"""Files that every repository has, and that are no objects."""
NOT_DATA = "file of the repository itself"
PINNED = r"^(hf://[a-z]+/[^/@]+/[^/@]+)@([0-9a-f]{40})(/.*)?$"
FOLDER_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME = "file_name"


@dataclass
class Repository:
    """Files of a repository.

    Attributes:
        files: schema ``FOUND``.
        metadata: uri -> what the ``metadata`` file of its folder says of it.
        problems: what a person should know.
        ignored: cause -> files.
    """

    files: pa.Table
    metadata: dict[str, str]
    problems: list[str]
    ignored: Counter[str]


def open_repository(
    storage: Storage, declaration: DatasetDeclaration, found: pa.Table, previous: pa.Table | None
) -> Repository:
    """What a repository has, with each file under the URI that is known of it.

    Args:
        storage: reaches the Hub.
        declaration: the dataset.
        found: the listing at a commit, schema ``FOUND``.
        previous: the inventory so far, None at first.
    """
    housekeeping = pc.match_substring_regex(found["uri"], HOUSEKEEPING)
    ignored = Counter({NOT_DATA: n} if (n := pc.sum(housekeeping).as_py() or 0) else {})
    files = keep_uris(storage, found.filter(pc.invert(housekeeping)), previous)
    metadata, lists, problems = folder_metadata(storage, files, declaration.archives or Archives())
    if lists:
        files = files.filter(pc.invert(pc.is_in(files["uri"], value_set=pa.array(lists, pa.string()))))
    return Repository(files, metadata, problems, ignored)


def keep_uris(storage: Storage, found: pa.Table, previous: pa.Table | None) -> pa.Table:
    """The listing with the URIs that the inventory has for files of the same path and content.

    A commit that the repository has no more, because its history was squashed, is replaced by the new one.
    """
    if previous is None or not found.num_rows:
        return found
    present = previous.filter(pc.equal(previous["state"], "present"))
    known_uri = pc.replace_substring_regex(present["uri"], r"!/.*$", "")
    parts = pc.extract_regex(
        known_uri, PINNED.replace("^(", "^(?P<repo>").replace("@(", "@(?P<commit>").replace("(/", "(?P<path>/")
    )
    table = pa.table(
        {
            "key": pc.binary_join_element_wise(pc.struct_field(parts, "repo"), pc.struct_field(parts, "path"), ""),
            "commit": pc.struct_field(parts, "commit"),
            "uri": known_uri,
            "etag": present["etag"],
        }
    ).filter(parts.is_valid())
    table = table.group_by(["key", "commit", "uri", "etag"]).aggregate([])
    lost = [c for c in pc.unique(table["commit"]).to_pylist() if not _there(storage, table, c)]
    if lost:
        table = table.filter(pc.invert(pc.is_in(table["commit"], value_set=pa.array(lost, pa.string()))))
    if not table.num_rows:
        return found
    table = table.combine_chunks()
    keys = pc.replace_substring_regex(found["uri"], r"@[0-9a-f]{40}(/|$)", r"\1", max_replacements=1)
    where = pc.index_in(keys, value_set=table["key"].combine_chunks())
    same = pc.fill_null(pc.equal(table["etag"].take(where), found["etag"]), False)
    uris = pc.if_else(same, table["uri"].take(where), found["uri"])
    return found.set_column(FOUND.get_field_index("uri"), FOUND.field("uri"), uris)


def _there(storage: Storage, table: pa.Table, commit: str) -> bool:
    uri = table.filter(pc.equal(table["commit"], commit))["uri"][0].as_py()
    return storage.using(HubBackend).client.has(parse(uri))


def folder_metadata(storage: Storage, files: pa.Table, rules: Archives) -> tuple[dict[str, str], list[str], list[str]]:
    """What the ``metadata`` files of image folders say: uri -> text; the uris of these files; and problems with them.

    They have a column ``file_name``, relative to their folder; see the ``imagefolder`` builder of ``datasets``.
    """
    uris = set(files["uri"].to_pylist())
    by_path = {parse(uri).path: uri for uri in uris}
    metadata: dict[str, str] = {}
    lists: list[str] = []
    problems: list[str] = []
    for path, uri in sorted(by_path.items()):
        folder, _, name = path.rpartition("/")
        if name.lower() not in FOLDER_METADATA:
            continue
        try:
            rows = 0
            for number, row in read_rows(storage, uri):
                if row is None or FILE_NAME not in row:
                    if rows == 0:
                        break  # a Parquet file of pictures may be called so too
                    problems.append(f"{uri}: row {number} has no {FILE_NAME}")
                    continue
                rows += 1
                columns = [c for c in row if c != FILE_NAME]
                caption = choose(columns, rules.caption_column, CAPTION_COLUMNS)
                tags = choose(columns, rules.tags_column, TAGS_COLUMNS)
                target = by_path.get(f"{folder}/{row[FILE_NAME]}" if folder else str(row[FILE_NAME]))
                text = metadata_of({c: row[c] for c in columns}, caption, tags)
                if target is None:
                    problems.append(f"{uri}: row {number} names {row[FILE_NAME]!r}, which is not there")
                elif text is not None:
                    metadata[target] = text
            if rows:
                lists.append(uri)
        except StorageError as error:
            problems.append(str(error))
    return metadata, lists, problems
