"""The families of models: a file each, found by its name, which entries say as ``family``.

Belongs here: how the weights of one kind of model are loaded, fed and run; see ``resources.models.network.Family`` for what a
file provides. Does not belong here: batches and memory (``runner.py``), and what the arrays mean (``outputs.py``).
"""
