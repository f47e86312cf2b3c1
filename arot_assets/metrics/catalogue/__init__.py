"""The metric catalogue: one file per metric. ``metrics.registry`` finds a file's module-level ``Metric`` objects."""
