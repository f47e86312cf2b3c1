"""Which destination an export has."""

from arot_assets.exports.destinations.destination import Destination
from arot_assets.exports.destinations.folder import FolderDestination
from arot_assets.exports.destinations.hub import HubDestination
from arot_assets.exports.destinations.remote import RemoteDestination
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.versions import ROOT
from resources.defaults import Resources
from resources.storage.objects import is_local, join

HUB = "hf://"


def destination_of(declaration: ExportDeclaration, resources: Resources) -> Destination:
    """The destination of an export."""
    storage, where = resources.storage, declaration.destination
    stored = join(resources.tables.root, ROOT)

    def below(root: str) -> Destination:
        place = join(root, declaration.name)
        if is_local(place):
            return FolderDestination(place, resources.shares(place))
        return RemoteDestination(storage, place, resources.compute)

    if where is not None and where.startswith(HUB):
        inside = None if resources.compute.is_local else below(stored)
        return HubDestination(storage, declaration, where, resources.compute, inside)
    return below(where or stored)
