"""Captions by vision-language models."""
