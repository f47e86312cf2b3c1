"""A Hugging Face Hub on loopback for the real ``huggingface_hub`` client: uploads, listings, downloads, tokens.

Belongs here: the endpoints, who may see what, and how tests start the server and point a client at it.
Does not belong here: what a repository is (``tests.servers.hub_repositories``), sockets (``tests.servers.loopback``).

Xet is not spoken: clients need ``HF_HUB_DISABLE_XET=1`` (``environment`` and ``as_default`` set it). LFS contents are served
from another host name, as on the real Hub, which refuses requests that still carry the token.
"""

import contextlib
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import mock
from urllib.parse import unquote, urlsplit

from tests.servers import hub_reading as reading
from tests.servers import hub_writing as writing
from tests.servers.hub_repositories import ATTRIBUTES, Commit, Contents, File, HubError, Repository
from tests.servers.loopback import Exchange, LoopbackServer

REPO = r"(?P<id>[^/]+/[^/]+)"
API = rf"/api/(?P<kind>model|dataset|space)s/{REPO}"
PLAIN = rf"/(?:(?P<kind>dataset|space)s/)?{REPO}"


class Hub(LoopbackServer):
    """A Hub; use as a context manager.

    Attributes:
        token: of user ``owner``, who may write to ``owner/…``.
        other_token: of user ``other``.
        page: entries of one page of a tree (50 at most when details are asked for).
        multipart_bytes: LFS files bigger than this are uploaded in parts of this size.
        requests: how often each ``METHOD /path`` was asked for.
    """

    token = "hf_ownerownerowner"
    other_token = "hf_otherotherother"

    def __init__(self, folder: Path, page: int = reading.PAGE, multipart_bytes: int = 8 * 1024 * 1024) -> None:
        """Args: folder: where contents are kept."""
        super().__init__()
        self.page = page
        self.multipart_bytes = multipart_bytes
        self.requests: Counter[str] = Counter()
        self.contents = Contents(folder / "contents")
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.parts = folder / "parts"
        self.parts.mkdir(exist_ok=True)
        self._users = {self.token: "owner", self.other_token: "other"}
        self.signature = secrets.token_hex(8)
        self.listings: dict[tuple[str, str, bool], list[str]] = {}

    # ---------------------------------------------------------------- for tests

    def create(self, repo_id: str, kind: str = "dataset", private: bool = False, gated: bool = False) -> Repository:
        """A new repository with its first commit, without a request."""
        repository = Repository(kind, repo_id, private, gated)
        first = {".gitattributes": self.contents.add_regular(ATTRIBUTES)}
        repository.add("main", first, "initial commit", "", repository.owner)
        self.repositories[kind, repo_id] = repository
        return repository

    def commit(self, repository: Repository, files: Mapping[str, bytes | None], branch: str = "main") -> Commit:
        """Write files (None removes one) in one commit, without a request and without any check of their names."""
        known = dict(repository.commits[repository.branches[branch]].files)
        attributes = self.attributes(known)
        for path, data in files.items():
            if data is None:
                del known[path]
            else:
                lfs = repository.is_lfs(path, len(data), attributes)
                known[path] = (self.contents.add_lfs if lfs else self.contents.add_regular)(data)
        return repository.add(branch, known, f"write {len(files)} files", "", repository.owner)

    def attributes(self, files: Mapping[str, File]) -> bytes:
        """The ``.gitattributes`` among files, empty when there is none."""
        file = files.get(".gitattributes")
        return self.contents.read(file) if file else b""

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Variables with which a client in another process uses this Hub, with caches below ``home``."""
        variables = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",  # with it the client asks its default address nothing of its own
        }
        return {**variables, "HF_TOKEN": token} if token else variables

    @contextlib.contextmanager
    def as_default(self, home: Path, token: str | None = None) -> Iterator[None]:
        """Point the client of this process here, as ``environment`` does for another process.

        The client reads its variables when it is imported, so its constants are set; what was made before (``HfApi``
        objects, the functions of ``huggingface_hub`` that are bound to one) keeps the address that it was made with.
        """
        from huggingface_hub import HfFileSystem, constants, hf_api

        values = {
            "ENDPOINT": self.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_URL_HOSTS": constants.HF_URL_HOSTS | {str(urlsplit(self.endpoint).hostname)},
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DISABLE_TELEMETRY": True,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
        }
        variables = self.environment(home, token)
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict("os.environ", variables))
            for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
                if name not in variables:
                    os.environ.pop(name, None)  # put back with the others
            for name, value in values.items():
                stack.enter_context(mock.patch.object(constants, name, value))
            stack.enter_context(mock.patch.object(hf_api.api, "endpoint", self.endpoint))
            HfFileSystem.clear_instance_cache()
            yield
            HfFileSystem.clear_instance_cache()

    # ---------------------------------------------------------------- requests

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, or tell what is wrong with it."""
        self.requests[f"{exchange.command} {unquote(exchange.route)}"] += 1
        try:
            for methods, pattern, action in ROUTES:
                match = re.fullmatch(pattern, exchange.route)
                if match and exchange.command in methods.split():
                    named = {k: v for k, v in match.groupdict().items() if v is not None}
                    action(self, exchange, **{k: unquote(v) for k, v in named.items()})
                    return
            raise HubError(404, None, f"no such page: {exchange.command} {exchange.route}")
        except HubError as error:
            exchange.read_body()
            exchange.reply_json({"error": str(error)}, error.status, error.headers)

    # ---------------------------------------------------------------- who may do what

    def user(self, exchange: Exchange) -> str | None:
        """Whose token a request carries, None without one; a wrong one is refused."""
        sent = exchange.headers.get("Authorization")
        if sent is None:
            return None
        user = self._users.get(sent.removeprefix("Bearer "))
        if user is None:
            raise HubError(401, None, "Invalid credentials in Authorization header")
        return user

    def repository(self, exchange: Exchange, kind: str, id: str, write: bool = False) -> Repository:
        """The repository of a request, if its sender may see it (and write to it)."""
        user = self.user(exchange)
        found = self.repositories.get((kind, id))
        if found is None or (found.private and user != found.owner):
            raise HubError(404 if user else 401, "RepoNotFound", "Repository not found")
        if write and user != found.owner:
            raise HubError(403 if user else 401, None, f"You don't have the rights to write to {kind} {id}")
        return found

    def _whoami(self, exchange: Exchange) -> None:
        user = self.user(exchange)
        if user is None:
            raise HubError(401, None, "Invalid username or password.")
        token = {"displayName": "test", "role": "write"}
        exchange.reply_json(
            {"type": "user", "name": user, "fullname": user, "orgs": [], "auth": {"accessToken": token}}
        )

    def _auth_check(self, exchange: Exchange, kind: str, id: str) -> None:
        self.check_open(exchange, self.repository(exchange, kind, id))
        exchange.reply_json({})

    def check_open(self, exchange: Exchange, repository: Repository) -> None:
        """Refuse the files of a gated repository to all but its owner."""
        if repository.gated and self.user(exchange) != repository.owner:
            raise HubError(403, "GatedRepo", f"Access to {repository.kind} {repository.id} is restricted")

    # ---------------------------------------------------------------- repositories

    def _create(self, exchange: Exchange) -> None:
        asked = json.loads(exchange.read_body())
        kind, user = asked.get("type") or "model", self.user(exchange)
        repo_id = f"{asked.get('organization') or user}/{asked['name']}"
        url = f"http://{exchange.host}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        if user is None or repo_id.split("/")[0] != user:
            raise HubError(403 if user else 401, None, f"You don't have the rights to create a {kind} under {repo_id}")
        if (kind, repo_id) in self.repositories:
            exchange.reply_json({"error": f"You already created this {kind} repo", "url": url}, 409)
            return
        private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        self.create(repo_id, kind, private)
        exchange.reply_json({"url": url, "name": repo_id, "id": repo_id})

    def _delete(self, exchange: Exchange) -> None:
        asked = json.loads(exchange.read_body())
        repo_id = f"{asked.get('organization') or self.user(exchange)}/{asked['name']}"
        found = self.repository(exchange, asked.get("type") or "model", repo_id, write=True)
        del self.repositories[found.kind, found.id]
        exchange.reply_json({})

    def _settings(self, exchange: Exchange, kind: str, id: str) -> None:
        found = self.repository(exchange, kind, id, write=True)
        asked = json.loads(exchange.read_body())
        found.private = asked.get("visibility", "private" if asked.get("private", found.private) else "") == "private"
        found.gated = bool(asked.get("gated", found.gated))
        exchange.reply_json({"private": found.private, "gated": found.gated})


ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/api/whoami-v2", Hub._whoami),
    ("POST", "/api/validate-yaml", writing.validate_yaml),
    ("POST", "/api/repos/create", Hub._create),
    ("DELETE", "/api/repos/delete", Hub._delete),
    ("GET", rf"{API}(?:/revision/(?P<revision>[^/]+))?", reading.info),
    ("GET", rf"{API}/auth-check", Hub._auth_check),
    ("PUT", rf"{API}/settings", Hub._settings),
    ("GET", rf"{API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?", reading.tree),
    ("POST", rf"{API}/paths-info/(?P<revision>[^/]+)", reading.paths_info),
    ("GET", rf"{API}/commits/(?P<revision>[^/]+)", reading.commits),
    ("GET", rf"{API}/refs", reading.refs),
    ("POST DELETE", rf"{API}/branch/(?P<name>[^/]+)", writing.branch),
    ("POST DELETE", rf"{API}/tag/(?P<name>[^/]+)", writing.tag),
    ("POST", rf"{API}/preupload/(?P<revision>[^/]+)", writing.preupload),
    ("POST", rf"{API}/commit/(?P<branch>[^/]+)", writing.commit),
    ("POST", rf"{PLAIN}\.git/info/lfs/objects/batch", writing.lfs_batch),
    ("POST", rf"{PLAIN}\.git/info/lfs/verify", writing.lfs_verify),
    ("PUT POST", r"/lfs-storage/(?P<sha256>[0-9a-f]{64})(?:/(?P<part>\d+))?", writing.lfs_store),
    ("GET HEAD", rf"{PLAIN}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", reading.resolve),
    ("GET HEAD", r"/cdn/(?P<sha256>[0-9a-f]{64})", reading.cdn),
]
"""Methods, path and what answers, called with the Hub, the exchange and the named parts of the path, unquoted."""
