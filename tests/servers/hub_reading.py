"""What the Hub of the tests answers when a client looks: information, listings, references, files.

Belongs here: one function an endpoint that changes nothing.
Does not belong here: uploads and other changes (``tests.servers.hub_writing``), who may see what (``tests.servers.hub``).
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from tests.servers.hub_repositories import HubError, entry, find, folders_of, front_matter, iso, lfs_pointer, listing
from tests.servers.loopback import Exchange

if TYPE_CHECKING:
    from tests.servers.hub import Hub

PAGE = 1000
DETAILED_PAGE = 50
"""The Hub's own page sizes, without and with ``expand``."""


def info(hub: "Hub", exchange: Exchange, kind: str, id: str, revision: str = "main") -> None:
    """A repository at a revision: its commit, its files, its card."""
    found = hub.repository(exchange, kind, id)
    commit = find(found, revision)
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in commit.files]
    if exchange.query.get("blobs", "").lower() in ("1", "true"):
        for sibling, file in zip(siblings, commit.files.values(), strict=True):
            sibling |= {"size": file.size, "blobId": file.blob}
            if file.sha256:
                pointer = len(lfs_pointer(file.sha256, file.size))
                sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": pointer}
    card = commit.files.get("README.md")
    described = front_matter(hub.contents.read(card).decode()) if card else None
    exchange.reply_json(
        {
            "_id": hashlib.sha1(found.id.encode()).hexdigest()[:24],
            "id": found.id,
            "author": found.owner,
            "sha": commit.id,
            "lastModified": iso(commit.date),
            "createdAt": iso(found.created),
            "private": found.private,
            "gated": "manual" if found.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
            "cardData": described,
            "usedStorage": sum(f.size for f in commit.files.values()),
        }
    )


def tree(hub: "Hub", exchange: Exchange, kind: str, id: str, revision: str, path: str = "") -> None:
    """One page of a folder."""
    found = hub.repository(exchange, kind, id)
    commit = find(found, revision)
    recursive = exchange.query.get("recursive", "").lower() in ("1", "true")
    details = exchange.query.get("expand", "").lower() in ("1", "true")
    key = (commit.id, path.strip("/"), recursive)
    names = hub.listings.get(key) or listing(commit, path.strip("/"), recursive)
    hub.listings[key] = names  # the next page comes from it
    if not names and path:
        raise HubError(404, "EntryNotFound", f"{path} does not exist on {revision}", X_Repo_Commit=commit.id)
    page = min(hub.page, DETAILED_PAGE if details else PAGE, int(exchange.query.get("limit") or PAGE))
    start = int(exchange.query.get("cursor") or 0)
    headers = {}
    if start + page < len(names):
        kept = "&".join(f"{k}={quote(v)}" for k, v in exchange.query.items() if k != "cursor")
        following = f"http://{exchange.host}{exchange.route}?{kept}&cursor={start + page}"
        headers["Link"] = f'<{following}>; rel="next"'
    exchange.reply_json([entry(found, commit, n, details) for n in names[start : start + page]], headers=headers)


def paths_info(hub: "Hub", exchange: Exchange, kind: str, id: str, revision: str) -> None:
    """What these paths are; those that do not exist are left out."""
    found = hub.repository(exchange, kind, id)
    commit = find(found, revision)
    if "json" in exchange.headers.get("Content-Type", ""):
        asked = json.loads(exchange.read_body())
        paths, details = asked["paths"], bool(asked.get("expand"))
    else:
        form = parse_qs(exchange.read_body().decode())
        paths, details = form.get("paths", []), form.get("expand", [""])[-1].lower() in ("1", "true")
    folders = folders_of(commit.files)
    known = [p for p in (p.strip("/") for p in paths) if p in commit.files or p in folders]
    exchange.reply_json([entry(found, commit, p, details) for p in known])


def commits(hub: "Hub", exchange: Exchange, kind: str, id: str, revision: str) -> None:
    """The history of a revision, newest first."""
    found = hub.repository(exchange, kind, id)
    history = found.history(find(found, revision))
    exchange.reply_json(
        [
            {"id": c.id, "title": c.title, "message": c.message, "date": iso(c.date), "authors": [{"user": c.author}]}
            for c in history
        ]
    )


def refs(hub: "Hub", exchange: Exchange, kind: str, id: str) -> None:
    """Branches and tags with their commits."""
    found = hub.repository(exchange, kind, id)
    named = {"branches": ("heads", found.branches), "tags": ("tags", found.tags)}
    answer = {
        key: [{"name": n, "ref": f"refs/{prefix}/{n}", "targetCommit": c} for n, c in items.items()]
        for key, (prefix, items) in named.items()
    }
    exchange.reply_json({**answer, "converts": [], "pullRequests": []})


def resolve(hub: "Hub", exchange: Exchange, id: str, revision: str, path: str, kind: str = "model") -> None:
    """A file: itself, or the address of its content when it is LFS."""
    found = hub.repository(exchange, kind, id)
    hub.check_open(exchange, found)
    commit = find(found, revision)
    file = commit.files.get(path)
    if file is None:
        raise HubError(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit.id)
    headers = {"X-Repo-Commit": commit.id}
    if file.sha256 is None:
        exchange.reply_content(hub.contents.path(file.blob), f'"{file.blob}"', headers)
        return
    other_host = f"localhost:{exchange.host.rsplit(':', 1)[-1]}"
    headers |= {
        "ETag": f'"{file.sha256}"',
        "X-Linked-Etag": f'"{file.sha256}"',
        "X-Linked-Size": str(file.size),
        "Location": f"http://{other_host}/cdn/{file.sha256}?signature={hub.signature}",
    }
    exchange.reply(302, headers=headers)


def cdn(hub: "Hub", exchange: Exchange, sha256: str) -> None:
    """The content of an LFS file; the signature in the address is the right to it."""
    if exchange.headers.get("Authorization"):
        raise HubError(400, None, "Only one way to authenticate is allowed: a signed address and a token are two")
    if exchange.query.get("signature") != hub.signature or not hub.contents.has(sha256):
        raise HubError(403, None, "The request signature does not match")
    exchange.reply_content(hub.contents.path(sha256), f'"{sha256}"')
