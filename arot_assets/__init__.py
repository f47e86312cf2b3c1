"""arot: datasets, metric tables, subsets and classifiers for generative training, as software-defined assets."""
