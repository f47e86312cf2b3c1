"""Clips as files: spans of films that a SQL model selects, cut exactly, and a dataset of their own."""
