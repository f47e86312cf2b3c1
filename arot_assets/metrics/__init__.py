"""Metric tables: the catalogue of measurements and the one-decode pass that fills them."""
