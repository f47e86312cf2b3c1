"""Exports: a subset as a data set that others can load, with its card.

Plain Python except ``assets.py``, which is the room's door to Dagster.
"""
