"""Exports: a subset as a dataset that others can load, with its card.

Plain Python except ``assets.py``, the room's interface to Dagster.
"""
