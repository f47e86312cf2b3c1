"""Everything that users declare in ``defs/**/defs.yaml``, read and validated.

Belongs here: reading declarations (``read.py``), the collection of the valid ones and what is left out (``declared.py``), and
the kinds, a file each (``kinds/``). Does not belong here: the fields of a kind (the rooms' ``declaration.py``), what is done
with it (the rooms' ``steps.py`` and ``assets.py``).

A fault leaves out the declaration that contains it, and whatever depends on that one; everything else is loaded
normally.
"""

from arot_assets.declarations.dataset import Dataset
from arot_assets.declarations.declared import Declarations
from arot_assets.declarations.errors import DeclarationError, Fault
from arot_assets.declarations.kinds.clips import Clips
from arot_assets.declarations.kinds.image_dataset import ImageDataset
from arot_assets.declarations.kinds.video_dataset import VideoDataset
from arot_assets.declarations.load import load_declarations

__all__ = [
    "Clips",
    "Dataset",
    "DeclarationError",
    "Declarations",
    "Fault",
    "ImageDataset",
    "VideoDataset",
    "load_declarations",
]
