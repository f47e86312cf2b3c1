"""The pages of a listing of S3.

Belongs here: reading an answer. Does not belong here: asking (``backend.py``).
"""

import xml.etree.ElementTree as ElementTree
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote_plus

from resources.storage.objects import ObjectColumns


class Page(NamedTuple):
    """A page of a listing.

    Attributes:
        objects: those of this page, without folder markers.
        folders: names of folders, if a delimiter was given, without the trailing slash.
        token: requests the next page; None after the last.
    """

    objects: ObjectColumns
    folders: list[str]
    token: str | None


def parse_page(body: bytes, root: str, folders_are_objects: bool = False) -> Page:
    """Parse a page of ``ListObjectsV2`` (XML, with URL-encoded keys).

    Args:
        body: of the response.
        root: ``s3://bucket/``.
        folders_are_objects: include folder markers in ``folders``.
    """
    uris: list[str] = []
    sizes: list[int] = []
    mtimes: list[float] = []
    etags: list[str | None] = []
    folders: list[str] = []
    token = None
    for element in ElementTree.fromstring(body):
        tag = element.tag.rsplit("}", 1)[-1]
        if tag == "Contents":
            fields = {child.tag.rsplit("}", 1)[-1]: child.text or "" for child in element}
            key = fields["Key"]
            if "%" in key or "+" in key:
                key = unquote_plus(key)
            if key.endswith("/"):
                if folders_are_objects:
                    folders.append(f"{root}{key}".rstrip("/"))
                continue
            uris.append(root + key)
            sizes.append(int(fields["Size"]))
            mtimes.append(datetime.fromisoformat(fields["LastModified"]).timestamp())
            etags.append(fields.get("ETag", "").strip('"') or None)
        elif tag == "CommonPrefixes":
            folders.append(unquote_plus(element[0].text or "").rstrip("/"))
        elif tag == "NextContinuationToken":
            token = element.text
    return Page(ObjectColumns(uris, sizes, mtimes, etags), folders, token)
