"""Writes the dbt macros that arot comes with, from the text that the catalogue's macros have too.

    python docs/macros.py    writes dbt_like_sql/macros/arot.sql, and the copy for new projects

Belongs here: where the files are. What a macro does is said in ``resources.warehouse.macros`` alone.
"""

from pathlib import Path

from arot_assets.project import TEMPLATE
from resources.warehouse.macros import dbt_file

PLACE = "dbt_like_sql/macros/arot.sql"
FILES = (Path(__file__).parents[1] / PLACE, TEMPLATE / PLACE)

if __name__ == "__main__":
    for file in FILES:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dbt_file(), encoding="utf-8")
