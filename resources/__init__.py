"""Access to the outside world: storage, tables, warehouse (DuckDB), models, notebooks."""
