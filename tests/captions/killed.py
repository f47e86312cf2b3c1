"""A run of a captioner in a process of its own, which a test kills: `python -m tests.captions.killed STORE SOURCE PROMPT URL`."""

import sys
from pathlib import Path

from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.captions.conftest import Asked
from tests.conftest import Dataset


class _Server:
    """Where the server of the test is."""

    def __init__(self, url: str) -> None:
        self.url = url


if __name__ == "__main__":
    store, source, prompt, url = sys.argv[1:]
    storage = Storage()
    tables = Tables(store=store, storage=storage)
    resources = Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))
    Asked(Dataset(resources, Path(source)), _Server(url), Path(prompt)).run()  # type: ignore[arg-type]
