"""The Hugging Face Hub: the backend of ``hf://``."""
