"""Addresses of members of archives: ``<archive>!/<member>``.

Belongs here: parsing such an address. Does not belong here: opening archives (``members``).

``photos/0001.tar!/cat/1.jpg`` is a file in a tar; ``train.parquet!/row/0000017/image`` is the content of a cell of a
Parquet file: row 17, counted from 0 over the whole file, of the column ``image``. Both are stable as long as the
archive is. The number has at least seven digits, so that names sort in row order; ``row/17/image`` is accepted too. The
path to an image in a struct or list is written with dots: ``row/0000017/sample.views.0`` is the first item of the list
``views`` in the struct ``sample``.
"""

import os
import re
from typing import NamedTuple
from urllib.parse import quote, unquote

MARK = "!/"
EXTENSIONS = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"),
    *(".zip", ".parquet"),
)
ARCHIVE = re.compile(rf"\.({'|'.join(re.escape(e[1:]) for e in EXTENSIONS)})!(?:/|$)", re.IGNORECASE)
ROW = re.compile(r"row/(\d{1,15})/([^/]+)")


class MemberAddress(NamedTuple):
    """A location in an archive.

    Attributes:
        archive: its URI.
        kind: its extension in lower case, without the first dot: ``tar.gz``.
        name: of the member; empty for the whole archive.
    """

    archive: str
    kind: str
    name: str


def parse_member(uri: str) -> MemberAddress | None:
    """The archive and the name in it; None if the URI is not such an address."""
    if "!" not in uri:
        return None
    match = ARCHIVE.search(uri)
    if match is None or ("://" not in uri and os.path.lexists(uri)):  # a folder can be named "x.tar!" too
        return None
    return MemberAddress(uri[: match.end(1)], match[1].lower(), uri[match.end() :])


def is_archive(uri: str) -> bool:
    """Whether a name is that of an archive with addressable members."""
    return uri.lower().endswith(EXTENSIONS)


def member_uri(archive: str, name: str) -> str:
    """The address of a member."""
    return f"{archive}{MARK}{name}"


def cell_uri(archive: str, row: int, column: str) -> str:
    """The address of a cell of a Parquet file."""
    return member_uri(archive, cell_name(row, column))


def cell_name(row: int, column: str) -> str:
    """The name of a cell of a Parquet file."""
    return f"row/{row:07}/{quote(column, safe='')}"


def parse_cell(name: str) -> tuple[int, str] | None:
    """Row and column of a member's name, None if it is not a Parquet cell."""
    match = ROW.fullmatch(name)
    return (int(match[1]), unquote(match[2])) if match else None
