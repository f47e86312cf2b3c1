"""DuckDB over the store's tables: one schema per dataset, views only."""

from resources.warehouse.warehouse import Warehouse

__all__ = ["Warehouse"]
