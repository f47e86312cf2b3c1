"""Writes the dbt macros that arot comes with, from the text that the catalogue's macros have too.

    python docs/macros.py    writes macros/arot.sql of new projects, which is the one of dbt_like_sql/ too (a link)

Belongs here: where the file is. What a macro does is said in ``resources.warehouse.macros`` alone.
"""

from arot_assets.project import TEMPLATE
from resources.warehouse.macros import dbt_file

FILE = TEMPLATE / "dbt_like_sql" / "macros" / "arot.sql"

if __name__ == "__main__":
    FILE.write_text(dbt_file(), encoding="utf-8")
