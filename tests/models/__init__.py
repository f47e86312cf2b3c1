"""Tests of the model families, over small models in the layout of real repositories."""
