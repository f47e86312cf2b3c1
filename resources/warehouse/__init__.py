"""DuckDB over the lake: one schema a dataset, views only."""

from resources.warehouse.warehouse import Warehouse

__all__ = ["Warehouse"]
