"""Trainers' own loaders on exports: they run where ``AROT_TRAINERS`` names a folder with the checkouts."""
