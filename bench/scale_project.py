"""The project whose commands ``scale.py`` times: a copy of this one that declares the synthetic dataset and nothing else.

Belongs here: creating the copy. Imports only the standard library, like ``scale.py``.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
DECLARATION = """type: arot_assets.components.ImageDataset
attributes:
  name: {name}
  source: {source}
  metrics: [cv2, phash]
"""


def copy_project(target: Path, source: Path, name: str) -> None:
    """Copy the code and the SQL models, applied to the dataset ``name`` instead of the demo; replaces an older copy.

    Args:
        target: the folder of the copy.
        source: the folder of files of the dataset ``name``.
        name: the only dataset in the copy.
    """
    shutil.rmtree(target, ignore_errors=True)
    skip = shutil.ignore_patterns("__pycache__", "*.duckdb", "target", "logs")
    for folder in ("arot_assets", "resources", "sensors", "dbt_like_sql"):
        shutil.copytree(ROOT / folder, target / folder, ignore=skip)
    for plain in ("pyproject.toml", "dagster.yaml"):
        shutil.copyfile(ROOT / plain, target / plain)
    for file in [*(target / "dbt_like_sql").rglob("*.sql"), *(target / "dbt_like_sql").rglob("*.yml")]:
        text = file.read_text()
        file.write_text(text.replace("source('demo'", f"source('{name}'").replace("name: demo", f"name: {name}"))
    definitions = target / "arot_assets" / "defs"
    for kind in [p for p in definitions.iterdir() if p.is_dir()]:
        shutil.rmtree(kind)
    declaration = definitions / "datasets" / name / "defs.yaml"
    declaration.parent.mkdir(parents=True)
    declaration.write_text(DECLARATION.format(name=name, source=source))
