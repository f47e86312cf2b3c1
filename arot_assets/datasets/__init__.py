"""Datasets: the contents of a source, divided into shards, with one sample row per object."""
