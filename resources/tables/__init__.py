"""The tables of the store: Parquet files below AROT_STORE, each written in one step."""

from resources.tables.leases import Hold, Holder, LeaseLostError, Leases
from resources.tables.parquet_files import TablesError
from resources.tables.refs import (
    GRAIN,
    INVENTORY,
    RATINGS,
    SAMPLES,
    WIDE,
    ModelRef,
    RatingsRef,
    StoreFile,
    TableRef,
    TagsRef,
)
from resources.tables.tables import STORE_VARIABLE, Tables, default_store
from resources.tables.unfinished import Unfinished, remove_orphans

__all__ = [
    "GRAIN",
    "INVENTORY",
    "RATINGS",
    "SAMPLES",
    "STORE_VARIABLE",
    "WIDE",
    "Hold",
    "Holder",
    "LeaseLostError",
    "Leases",
    "ModelRef",
    "RatingsRef",
    "StoreFile",
    "TableRef",
    "Tables",
    "TablesError",
    "TagsRef",
    "Unfinished",
    "default_store",
    "remove_orphans",
]
