"""Datasets on the Hugging Face Hub as a source: image folders, images in Parquet, WebDataset tars.

Belongs here: which files of a repository are data, and at which commit. Does not belong here: image folders and
archives (``folder_metadata.py``, ``archives.py``), access to the Hub (``resources.storage.hub.backend``).

The URI of an object names the commit at which its current content was first seen. A new commit therefore changes only
the rows of files whose content changed, and every row can be read again as it was, whatever happens to the branch.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.objects import FOUND
from resources.storage import Storage
from resources.storage.hub.address import parse
from resources.storage.hub.backend import HubBackend

HOUSEKEEPING = r"(?i)/(\.[^/]*|readme[^/]*|licen[cs]e[^/]*|notice[^/]*)$"
"""Files that every repository has and that are not objects."""
NOT_DATA = "file of the repository itself"
PINNED = r"^(hf://[a-z]+/[^/@]+/[^/@]+)@([0-9a-f]{40})(/.*)?$"


def files_of(storage: Storage, found: pa.Table, previous: pa.Table | None) -> tuple[pa.Table, Counter[str]]:
    """The files of a repository, each with the URI by which it is known; and what is left out.

    Args:
        storage: accesses the Hub.
        found: the listing at a commit, schema ``FOUND``.
        previous: the previous inventory, None at first.
    """
    housekeeping = pc.match_substring_regex(found["uri"], HOUSEKEEPING)
    ignored = Counter({NOT_DATA: n} if (n := pc.sum(housekeeping).as_py() or 0) else {})
    return keep_uris(storage, found.filter(pc.invert(housekeeping)), previous), ignored


def keep_uris(storage: Storage, found: pa.Table, previous: pa.Table | None) -> pa.Table:
    """The listing with the inventory's URIs for files of the same path and content.

    A commit that no longer exists, because the history of the repository was squashed, is replaced by the new one.
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
