"""The resources as every process has them: Dagster's definitions, the command line, a notebook.

Belongs here: building them from the environment, once, in one place. The variables: ``AROT_STORE`` (the lake's root); those of
S3 (``AWS_*``, ``AROT_S3_ANONYMOUS``) in ``S3Settings``: its one value here serves our own requests, boto3, DuckDB and, in
``resources.dagster``, Dagster's ``S3Resource``.
"""

from dataclasses import dataclass

from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse


@dataclass(frozen=True)
class Resources:
    """The injected resources; the field names are the resource keys."""

    storage: Storage
    tables: Tables
    warehouse: Warehouse
    models: Models


def default_resources() -> Resources:
    """Resources as the environment configures them; builds nothing heavy."""
    storage = Storage()
    tables = Tables(storage)
    return Resources(storage, tables, Warehouse(tables), Models())
