"""Datasets: what is at a source, cut into shards, and one sample row for each object."""
