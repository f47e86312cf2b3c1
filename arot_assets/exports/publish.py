"""Publishing: the rows of a subset, their originals and a card become one commit, or none if nothing changed.

Belongs here: the order of the work, and what counts as unchanged. Does not belong here: rows (``rows.py``), reading and
uploading (``upload.py``), the card, requests.

Contents are uploaded file by file, and are invisible before the commit at the end: if the process is killed, the repository
is unchanged. If the digest equals that of the last publication, no original is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.datasets.forgotten import forgotten
from arot_assets.exports.card import Counts, block, front_matter, merge
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.errors import ExportError
from arot_assets.exports.folder import known_originals, place
from arot_assets.exports.originals import MissingOriginal, original_rows, read_original
from arot_assets.exports.publication import Publication, prepare_publication
from arot_assets.exports.repository import CARD, STATE, PublishedState, RepositorySnapshot, check_foreign, look
from arot_assets.exports.upload import UploadResult, upload
from arot_assets.subsets.project import Project
from resources.defaults import Resources
from resources.storage.hub import commits
from resources.storage.hub.address import MAIN
from resources.storage.hub.backend import HubBackend

if TYPE_CHECKING:
    from arot_assets.media.wants import Pixels
    from resources.storage.hub.commits import Content


@dataclass(frozen=True)
class Preview:
    """What a publication would do.

    Attributes:
        rows: rows of the subset.
        file_bytes: of all originals.
        columns: names of the columns, the file first.
        files: number of data files.
        outcome: what would happen to the repository, in words.
    """

    rows: int
    file_bytes: int
    columns: tuple[str, ...]
    files: int
    outcome: str


@dataclass(frozen=True)
class PublishResult:
    """What a publication did.

    Attributes:
        rows: rows that the repository has now.
        file_bytes: bytes of their originals.
        left_out: rows whose original could not be read, with ``on_missing: skip``.
        commit: the commit that contains them.
        url: the page of the commit.
        changed: False if the repository was up to date already.
        digest: of the data.
        schema: the published columns beside the file.
        posters: of some samples, RGB uint8 [h, w, 3] each; none if none was read.
    """

    rows: int
    file_bytes: int
    left_out: int
    commit: str
    url: str
    changed: bool
    digest: str
    schema: pa.Schema
    posters: "list[Pixels]"


def preview(declaration: HubDatasetDeclaration, project: Project, resources: Resources) -> Preview:
    """What ``publish`` would do now; reads no originals and writes nothing.

    Raises:
        ExportError, ProjectError, StorageError: as ``publish``, except that no token is needed.
    """
    with resources.warehouse.connect() as con:
        publication = prepare_publication(declaration, project, resources, con)
        outcome = _outcome(publication)
    rows = publication.rows
    files = len(rows.cuts) if declaration.layout == "parquet" else rows.count + 1
    return Preview(rows.count, rows.file_bytes, (rows.medium.name, *rows.schema.names), files, outcome)


def publish(declaration: HubDatasetDeclaration, project: Project, resources: Resources) -> PublishResult:
    """Update the repository to the current state of the subset, in one commit.

    Args:
        declaration: what to publish, and where.
        project: the SQL project that has the subset.
        resources: the tables with the subset, and the storage of its originals and the Hub.

    Raises:
        ExportError: the subset cannot be published, or originals are missing or changed; nothing was committed.
        ProjectError: there is no such subset.
        StorageError: no token, no permission, or the Hub cannot be reached; nothing was committed.
    """
    commits.require_token(resources.storage.using(HubBackend).client, declaration.address)
    gone = {*forgotten(resources.tables)}
    with resources.warehouse.connect() as con:
        publication = prepare_publication(declaration, project, resources, con)
        remote = _prepare(publication)
        state, done = remote.state, UploadResult()
        if state is None or not _is_current(publication, remote):
            done = upload(publication, remote)
            state = _new_state(publication, done)
        counts = Counts(
            publication.rows.count - len(state.left_out),
            publication.rows.file_bytes - state.left_out_bytes,
            len(state.left_out),
            publication.captions,
        )
        if not gone.issuperset(forgotten(resources.tables)):
            raise ExportError(
                f"exports/{declaration.name}: samples were taken down while it was uploaded; nothing was committed, publish again"
            )
        commit, changed = _commit(publication, remote, state, done, counts)
    return PublishResult(
        counts.rows,
        counts.file_bytes,
        counts.left_out,
        commit,
        f"{publication.client.settings.address()}/datasets/{declaration.repo}/commit/{commit}",
        changed,
        state.data,
        publication.rows.schema,
        done.posters,
    )


def _prepare(publication: Publication) -> RepositorySnapshot:
    """The current state of the repository; it and its branch are created if necessary, and are known to be writable."""
    from huggingface_hub import CommitOperationAdd

    declaration, client = publication.declaration, publication.client
    if not commits.ensure_repo(client, declaration.address, declaration.private):
        _check_visibility(publication)
    # uploads nothing, but is rejected without write access
    commits.preupload(client, declaration.address.at(MAIN), [CommitOperationAdd(STATE, b"{}")])
    commits.ensure_branch(client, declaration.address)
    remote = look(client, declaration.address)
    check_foreign(remote, declaration)
    return remote


def _check_visibility(publication: Publication) -> None:
    declaration = publication.declaration
    if declaration.private and not publication.client.is_private(declaration.address):
        raise ExportError(
            f"exports/{declaration.name}: '{declaration.repo}' is public; set `private: false` if that is intended, or make it "
            "private in its settings on the Hub"
        )


def _is_current(publication: Publication, remote: RepositorySnapshot) -> bool:
    """Whether the repository already has these rows, and no original that was left out has become available again."""
    state, declaration = remote.state, publication.declaration
    if state is None or state.data != publication.rows.digest or not remote.is_whole():
        return False
    if state.left_out and declaration.on_missing == "stop":
        return False
    if declaration.layout == "parquet" and not state.left_out:
        return True
    left_out, places = set(state.left_out), publication.places()
    known = known_originals(publication.rows.medium, declaration.split, remote.files)
    in_files = declaration.layout == "parquet"  # whose hashes have been verified

    def unchanged(row: Mapping[str, Any]) -> bool:
        if row["sample_id"] in left_out:
            return isinstance(read_original(places, row), MissingOriginal)
        return in_files or known(row)

    return all(unchanged(row) for batch in publication.rows.batches(publication.con) for row in original_rows(batch))


def _new_state(publication: Publication, done: UploadResult) -> PublishedState:
    declaration = publication.declaration
    tables = {p: op.upload_info.sha256.hex() for p, op in done.files.items() if p.endswith(".parquet")}
    return PublishedState(
        data=publication.rows.digest,
        layout=declaration.layout,
        split=declaration.split,
        files=tables,
        left_out=sorted(g.sample_id for g in done.gone),
        left_out_bytes=done.gone_bytes,
    )


def _commit(
    publication: Publication, remote: RepositorySnapshot, state: PublishedState, done: UploadResult, counts: Counts
) -> tuple[str, bool]:
    declaration, client = publication.declaration, publication.client
    front = front_matter(declaration, publication.rows, counts)
    ours = block(declaration, publication.rows, publication.provenance, counts)
    wanted = _paths(publication, state) if done.files else None

    def changes(head: str) -> "tuple[Mapping[str, Content], Sequence[str]]":
        now = remote if remote.head == head else look(client, declaration.address.at(head))
        if not done.files and (now.state != state or not now.is_whole()):
            raise ExportError(
                f"exports/{declaration.name}: someone else has changed '{declaration.repo}' in the meantime; publish again"
            )
        additions: dict[str, Content] = {**done.files}  # identical content makes no commit
        if now.state != state:
            additions[STATE] = state.to_json()
        text = merge(now.card, front, ours, declaration.repo)
        if text != now.card:
            additions[CARD] = text.encode()
        return additions, sorted(now.published() - wanted) if wanted is not None else ()

    return commits.commit(client, declaration.address, f"Publish {declaration.name}: {counts.rows:,} rows", changes)


def _paths(publication: Publication, state: PublishedState) -> set[str]:
    """Every file of ours that the repository will have."""
    wanted = set(state.files)
    if publication.declaration.layout == "folder":
        left_out = set(state.left_out)
        for batch in publication.rows.batches(publication.con):
            rows = [r for r in original_rows(batch) if r["sample_id"] not in left_out]
            wanted |= {f"{state.split}/{place(publication.rows.medium, r['sample_id'], r['format'])}" for r in rows}
    return wanted


def _outcome(publication: Publication) -> str:
    """What would happen to the repository, in words."""
    declaration, client = publication.declaration, publication.client
    place_of = f"'{declaration.repo}'" + (f", branch '{declaration.revision}'," if declaration.revision else "")
    if client.settings.token() is None:
        return "the Hub was not asked, because there is no token (set HF_TOKEN, or run `hf auth login`)"
    if not client.has(declaration.address.at(MAIN)):
        return f"{place_of} does not exist; it would be created, {'private' if declaration.private else 'public'}"
    _check_visibility(publication)
    if not client.has(declaration.address):
        return f"{place_of} does not exist; the branch would be created"
    remote = look(client, declaration.address)
    check_foreign(remote, declaration)
    if remote.state is None:
        return f"{place_of} does not have this data yet: one commit"
    same = remote.state.data == publication.rows.digest and remote.is_whole()
    return f"{place_of} has {'these rows already' if same else 'different rows: one commit'}"
