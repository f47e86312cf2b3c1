"""What lies near what: nearest neighbours and clusters of a stored embedding, over all samples of a dataset."""
