"""Models as an injected resource: what can be computed from pixels, and how each model is loaded and fed."""

from resources.models.entry import ModelError
from resources.models.models import ImageModel, Models

__all__ = ["ImageModel", "ModelError", "Models"]
