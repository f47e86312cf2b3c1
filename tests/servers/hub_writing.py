"""What the Hub of the tests does when a client changes something: branches, tags, uploads, commits.

Belongs here: one function an endpoint that changes something.
Does not belong here: reading (``tests.servers.hub_reading``), who may write (``tests.servers.hub``).
"""

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import yaml

from tests.servers.hub_repositories import File, HubError, find, front_matter, lfs_file
from tests.servers.loopback import Exchange

if TYPE_CHECKING:
    from tests.servers.hub import Hub


def branch(hub: "Hub", exchange: Exchange, kind: str, id: str, name: str) -> None:
    """Make or remove a branch."""
    found = hub.repository(exchange, kind, id, write=True)
    if exchange.command == "DELETE":
        if found.branches.pop(name, None) is None:
            raise HubError(404, "RevisionNotFound", f"no branch {name}")
    elif name in found.branches:
        raise HubError(409, None, "Reference already exists")
    else:
        start = json.loads(exchange.read_body() or b"{}").get("startingPoint", "main")
        found.branches[name] = find(found, start).id
    exchange.reply_json({})


def tag(hub: "Hub", exchange: Exchange, kind: str, id: str, name: str) -> None:
    """Make or remove a tag."""
    found = hub.repository(exchange, kind, id, write=True)
    if exchange.command == "DELETE":
        if found.tags.pop(name, None) is None:
            raise HubError(404, "RevisionNotFound", f"no tag {name}")
    else:
        new = json.loads(exchange.read_body())["tag"]
        if new in found.tags:
            raise HubError(409, None, "Tag reference exists already")
        found.tags[new] = find(found, name).id
    exchange.reply_json({})


def validate_yaml(hub: "Hub", exchange: Exchange) -> None:
    """Say what is wrong with the metadata of a card."""
    problems: list[dict[str, str]] = []
    try:
        if not isinstance(front_matter(json.loads(exchange.read_body())["content"]) or {}, dict):
            problems.append({"message": "metadata must be a mapping"})
    except yaml.YAMLError as error:
        problems.append({"message": str(error)})
    exchange.reply_json({"errors": problems, "warnings": []}, 400 if problems else 200)


def preupload(hub: "Hub", exchange: Exchange, kind: str, id: str, revision: str) -> None:
    """Say how each file is to be uploaded, and what is there now under its name."""
    found = hub.repository(exchange, kind, id, write=True)
    commit = find(found, revision)
    attributes = hub.attributes(commit.files)
    answers = []
    for one in json.loads(exchange.read_body())["files"]:
        mode = "lfs" if found.is_lfs(one["path"], one["size"], attributes) else "regular"
        known = commit.files.get(one["path"])
        answer = {"path": one["path"], "uploadMode": mode, "shouldIgnore": False}
        answers.append({**answer, "oid": known.content_id} if known else answer)
    exchange.reply_json({"files": answers})


def commit(hub: "Hub", exchange: Exchange, kind: str, id: str, branch: str) -> None:
    """Make a commit of uploaded files and removals."""
    found = hub.repository(exchange, kind, id, write=True)
    if exchange.query.get("create_pr"):
        raise HubError(400, None, "pull requests are not served here")
    lines = [json.loads(line) for line in exchange.read_body().splitlines()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    with found.lock:
        if branch not in found.branches:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        head = found.branches[branch]
        if not head.startswith(header.get("parentCommit", head)):
            raise HubError(412, None, "A commit has happened since. Please refresh and try again.")
        files = dict(found.commits[head].files)
        for line in lines:
            apply(hub, files, line["key"], line["value"])
        author = hub.user(exchange) or ""
        commit = found.add(branch, files, header["summary"], header.get("description", ""), author)
    prefix = "" if kind == "model" else f"{kind}s/"
    url = f"http://{exchange.host}/{prefix}{id}/commit/{commit.id}"
    exchange.reply_json({"success": True, "commitOid": commit.id, "commitUrl": url, "hookOutput": ""})


def apply(hub: "Hub", files: dict[str, File], key: str, value: Any) -> None:
    """Do one line of a commit."""
    path = value.get("path", "").rstrip("/")
    if key in ("file", "lfsFile") and (path.startswith("/") or ".." in path.split("/")):
        raise HubError(400, None, f"Invalid path: {path}")
    if key == "file":
        files[path] = hub.contents.add_regular(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if not hub.contents.has(value["oid"]):
            raise HubError(400, None, f"LFS object {value['oid']} of {path} was not uploaded")
        files[path] = lfs_file(value["oid"], hub.contents.path(value["oid"]).stat().st_size)
    elif key in ("deletedFile", "deletedFolder"):
        gone = [p for p in files if p == path or (key == "deletedFolder" and p.startswith(f"{path}/"))]
        if not gone:
            raise HubError(404, "EntryNotFound", "A file with this name doesn't exist")
        for name in gone:
            del files[name]


def lfs_batch(hub: "Hub", exchange: Exchange, id: str, kind: str = "model") -> None:
    """Say where to upload contents; those that are here already need none."""
    hub.repository(exchange, kind, id, write=True)
    answers: list[dict[str, Any]] = []
    base = f"http://{exchange.host}"
    for one in json.loads(exchange.read_body())["objects"]:
        answer = {"oid": one["oid"], "size": one["size"]}
        if not hub.contents.has(one["oid"]):
            href = f"{base}/lfs-storage/{one['oid']}"
            header = {}
            if one["size"] > hub.multipart_bytes:
                count = -(-one["size"] // hub.multipart_bytes)
                header = {str(n): f"{href}/{n}?signature={hub.signature}" for n in range(1, count + 1)}
                header["chunk_size"] = str(hub.multipart_bytes)
            upload = {"href": f"{href}?signature={hub.signature}", "header": header}
            prefix = "" if kind == "model" else f"{kind}s/"
            verify = {"href": f"{base}/{prefix}{id}.git/info/lfs/verify"}
            answer["actions"] = {"upload": upload, "verify": verify}
        answers.append(answer)
    exchange.reply_json({"transfer": "basic", "objects": answers})


def lfs_store(hub: "Hub", exchange: Exchange, sha256: str, part: str | None = None) -> None:
    """Take a content, or a part of one, or put the parts together."""
    if exchange.query.get("signature") != hub.signature or exchange.headers.get("Authorization"):
        raise HubError(403, None, "The request signature does not match")
    body = exchange.read_body()
    if part is not None:
        (hub.parts / f"{sha256}.{part}").write_bytes(body)
        exchange.reply(200, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        return
    if exchange.command == "POST":
        numbers = [one["partNumber"] for one in json.loads(body)["parts"]]
        body = b"".join((hub.parts / f"{sha256}.{n}").read_bytes() for n in numbers)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise HubError(400, None, "The content does not match its hash")
    hub.contents.add_lfs(body)
    exchange.reply(200)


def lfs_verify(hub: "Hub", exchange: Exchange, id: str, kind: str = "model") -> None:
    """Confirm that a content arrived."""
    hub.repository(exchange, kind, id, write=True)
    asked = json.loads(exchange.read_body())
    path = hub.contents.path(asked["oid"])
    if not path.exists() or path.stat().st_size != asked["size"]:
        raise HubError(404, None, f"LFS object {asked['oid']} is not there")
    exchange.reply_json({})
