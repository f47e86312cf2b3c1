"""Classifiers: labels, leak-free splits, a linear head on stored embeddings, evaluation, promotion, scores."""
