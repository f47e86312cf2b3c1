"""Ratings: what people say of samples, kept for ever, joined to the samples, and judged for how far it can be trusted."""
