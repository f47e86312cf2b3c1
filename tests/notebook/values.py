"""A table and a picture, to be saved and loaded."""

import numpy as np
import pandas as pd
from PIL import Image

FRAME = pd.DataFrame({"n": [1, 2], "word": ["a,b", 'say "x"\nand go'], "share": [0.5, None]})


def picture(mode: str = "RGB") -> Image.Image:
    """Random pixels, 60 by 40."""
    shape = (40, 60, 4) if mode == "RGBA" else (40, 60, 3)
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8))
