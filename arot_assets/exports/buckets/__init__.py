"""The bucket arithmetic of each trainer: one file a trainer, as its own loader computes it."""
