"""Models as an injected resource: what can be computed from pixels, and how each model is loaded and fed.

An **entry** is data: one YAML file, ``catalogue/NAME.yaml`` or ``PROJECT/models/NAME.yaml`` (``entries.py`` reads both).
``entry.py`` is the format: weights (``repo`` | ``package`` | ``uri``, each with ``files: {path: sha256}``), preprocessing,
licence, options. ``outputs.py`` has the kinds of outputs; a table's columns follow from them, so an entry is a metric without any
Python. ``weights.py`` finds, fetches and verifies files, ``families/`` loads them (a file each, named by ``family``),
``runner.py`` batches, ``models.py`` is the resource. ``arot models`` lists, fetches, pins and verifies entries.

A new family is a file with ``VERSION``, ``ENGINES``, ``FILES``, ``load`` and ``reference``: see ``network.Family``.
"""

from resources.models.entry import ModelError
from resources.models.models import ImageModel, Models

__all__ = ["ImageModel", "ModelError", "Models"]
"""Nothing else is meant for use outside, but for the catalogue of entries (``entries.py``)."""
