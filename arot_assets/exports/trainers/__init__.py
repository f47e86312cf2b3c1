"""Trainers: one file each, with its configuration file, its buckets and how its loader reads a folder."""
