"""Duplicates: which samples show the same, with the evidence, and which one of them stays."""
