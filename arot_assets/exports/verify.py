"""The current version of an export, read back from where it is.

Belongs here: reaching the version and its manifest. Does not belong here: the rules (``contract.py``).
"""

from pathlib import Path

from arot_assets.exports.contract import LoaderFindings, see
from arot_assets.exports.destinations.choice import HUB
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layouts import LAYOUTS
from arot_assets.exports.tree import Tree
from arot_assets.exports.versions import Receipt, current_receipt, read_manifest
from resources.scratch import WorkingFolder
from resources.storage import Storage
from resources.storage.hub.address import parse
from resources.storage.objects import is_local, local_path
from resources.tables import Tables


def verify(declaration: ExportDeclaration, tables: Tables, storage: Storage) -> LoaderFindings:
    """What loaders find in the current version; a version elsewhere is fetched first.

    Raises:
        ExportError: nothing has been exported yet.
        StorageError: it cannot be read.
    """
    receipt = current_receipt(tables, declaration.name)
    if receipt is None:
        raise ExportError(
            f"exports/{declaration.name}: nothing has been exported; `arot export {declaration.name}` does it"
        )
    with WorkingFolder("verify", 0 if is_local(receipt.place) else receipt.bytes) as place:
        if is_local(receipt.place):
            place = Path(local_path(receipt.place))
        else:
            storage.sync(_source(receipt), str(place))
        manifest = read_manifest(tables, declaration.name, receipt.version)
        layout = LAYOUTS[declaration.layout]
        return see(Tree(place), layout, list(receipt.folders), receipt.medium, manifest, declaration.kept)


def _source(receipt: Receipt) -> str:
    """The address of exactly that version."""
    if receipt.place.startswith(HUB) and receipt.commit:
        return parse(receipt.place).at(receipt.commit).uri
    return receipt.place
