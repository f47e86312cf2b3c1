"""Declarations: one folder with a defs.yaml for each dataset, classifier and export; `arot new` writes them."""
