"""Which files of a version are data, for the ``datasets`` library and the Hub: ``.huggingface.yaml``.

Without it the library goes by the most frequent extension, and takes an export of few samples for its records: those are Parquet.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

CONFIG = ".huggingface.yaml"


def write_data_files(folder: Path, patterns: Sequence[str]) -> None:
    """Name the files that are data.

    Args:
        folder: of the version.
        patterns: of paths below it.
    """
    files = [{"split": "train", "path": list(patterns)}]
    text = yaml.safe_dump({"configs": [{"config_name": "default", "data_files": files}]}, sort_keys=False)
    (folder / CONFIG).write_text(text, encoding="utf-8")
