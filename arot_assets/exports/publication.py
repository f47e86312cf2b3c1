"""One publication: what is published, what it is made from, and what is needed to publish it.

Belongs here: gathering everything that the tables know, before any original is read. Does not belong here: the work
(``publish.py``).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arot_assets.datasets.places import Place, place_of
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.folder import check_count
from arot_assets.exports.provenance import Provenance, require_current, trace
from arot_assets.exports.rows import ExportRows, plan_rows
from arot_assets.subsets.project import Project
from resources.defaults import Resources
from resources.storage.hub.backend import HubBackend
from resources.warehouse import Connection
from resources.warehouse.views import quote

if TYPE_CHECKING:
    from resources.storage.hub.client import HubClient

CAPTION = "caption"


@dataclass(frozen=True)
class Publication:
    """Everything that a publication needs.

    Attributes:
        declaration: what the user declared.
        resources: the tables, and the storage of the originals and the Hub.
        con: an open connection with the views of the catalogue.
        rows: what is published.
        lineage: what it is made from.
        captions: rows that have a caption.
    """

    declaration: HubDatasetDeclaration
    resources: Resources
    con: Connection
    rows: ExportRows
    provenance: Provenance
    captions: int

    @property
    def client(self) -> "HubClient":
        """The client for the Hub."""
        return self.resources.storage.using(HubBackend).client

    def places(self) -> dict[str, Place]:
        """Dataset -> access to its objects, with its settings."""
        storage, warehouse = self.resources.storage, self.resources.warehouse
        return {d: place_of(storage, warehouse, d) for d in self.rows.datasets}


def prepare_publication(
    declaration: HubDatasetDeclaration, project: Project, resources: Resources, con: Connection
) -> Publication:
    """Examine the subset and everything behind it; reads no originals and sends no requests.

    Raises:
        ExportError: it cannot be published: not built, out of date, or with an unsuitable column or sample.
        ProjectError: there is no such subset.
    """
    require_current(project, declaration.subset, resources.tables, resources.warehouse)
    rows = plan_rows(declaration, project, resources.tables, con)
    if declaration.layout == "folder":
        check_count(declaration.name, rows.count, rows.medium.name)
    captions = 0
    if CAPTION in rows.schema.names:
        found = con.execute(f"select count({quote(CAPTION)}) from ({rows.sql})").fetchone()
        captions = int(found[0]) if found else 0
    provenance = trace(rows.datasets, project, declaration.subset, resources.tables)
    return Publication(declaration, resources, con, rows, provenance, captions)
