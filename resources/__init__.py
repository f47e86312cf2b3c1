"""How the outside is reached: storage, tables (the lake), warehouse (DuckDB), models."""
