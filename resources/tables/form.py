"""The form of a store: what a version of arot must know to write into it without harm.

Belongs here: the check that a process makes before it works on a store. Does not belong here: versions of rows, which are
computed anew (``samples_version``, ``metric_version``), and columns, which may be added at any time.

A store without the file has the first form. A version that changes what earlier ones would misread or remove raises ``FORM`` and
writes the file before anything else; all versions from this one on then refuse to work on it, with one line.
"""

import json

from resources.errors import ArotError
from resources.storage.storage import StorageError
from resources.tables.refs import StoreFile
from resources.tables.tables import Tables

FORM = 1
"""The newest form that this version knows."""
PLACE = StoreFile("form.json")
"""``{"form": 2, "arot": "1.4"}``: the form, and the first version of arot that knows it."""


class FormError(ArotError):
    """A store of a newer form; nothing was changed."""


def require_form(tables: Tables) -> None:
    """Make sure that this version can work on a store.

    Raises:
        FormError: a newer version wrote it, or it cannot be told.
        StorageError: the store cannot be reached.
    """
    try:
        said = json.loads(tables.read_bytes(PLACE))
        form, version = int(said["form"]), str(said["arot"])
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return
    except (ValueError, KeyError, TypeError) as error:
        raise FormError(
            f"'{tables.uri(PLACE)}' is damaged ({error!r}), so the form of the store is not known; restore it from a backup"
        ) from error
    if form > FORM:
        raise FormError(
            f"the store '{tables.root}' has form {form}, and this version of arot knows {FORM} at most: install arot {version} "
            "or newer here, or use another AROT_STORE; nothing was changed"
        )
