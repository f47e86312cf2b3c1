"""DuckDB over the store's tables: one schema per dataset, views only."""

from resources.warehouse.lake import Connection
from resources.warehouse.warehouse import Warehouse

__all__ = ["Connection", "Warehouse"]
