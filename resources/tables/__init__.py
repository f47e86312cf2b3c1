"""The lake: Parquet files below AROT_STORE, written in one step each."""

from resources.tables.tables import PROJECT_ROOT, STORE_VARIABLE, Tables, TablesError, default_store

__all__ = ["PROJECT_ROOT", "STORE_VARIABLE", "Tables", "TablesError", "default_store"]
