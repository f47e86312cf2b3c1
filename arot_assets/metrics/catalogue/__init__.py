"""The metric catalogue: one file a metric. A file's module-level ``Metric`` objects are found by ``metrics.registry``."""
