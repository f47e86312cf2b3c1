"""A sheet of groups for the UI: the sample that stays, and its duplicates with their evidence.

Belongs here: choosing and drawing groups. Does not belong here: how they are found.
"""

from arot_assets.datasets.places import place_of
from arot_assets.drawing import contact_sheet, data_uri
from arot_assets.media.file import DecodeError
from arot_assets.media.wants import Pixels
from resources.defaults import Resources
from resources.storage import StorageError
from resources.warehouse.views import quote

GROUPS, COLUMNS, TILE = 12, 6, 96


def group_sheet(dataset: str, resources: Resources) -> str:
    """The largest groups as Markdown with one picture; empty if there are none."""
    name = quote(dataset)
    with resources.warehouse.connect() as con:
        rows = con.execute(
            f"""select d.sample_id, d.kept, d.kind, d.distance, s.uri from {name}.duplicates d
            join {name}.samples s on d.sample_id = s.sample_id and s.status = 'ok'
            where d.kept in (
                select kept from {name}.duplicates where stays and members > 1 order by members desc, kept limit {GROUPS}
            )
            qualify row_number() over (partition by d.kept order by d.stays desc, d.distance, d.sample_id) <= {COLUMNS}
            order by d.members desc, d.kept, d.stays desc, d.distance, d.sample_id"""
        ).fetchall()
    if not rows:
        return ""
    place = place_of(resources.storage, resources.warehouse, dataset, {r[0] for r in rows})
    pixels: list[Pixels] = []
    labels: list[str] = []
    for sample_id, _, kind, distance, uri in rows:
        try:
            pixels.append(place.medium.poster(place.files({uri: sample_id})(uri), TILE))
        except (StorageError, DecodeError):
            continue
        labels.append("stays" if kind is None else f"{kind} {distance:.3g}")
    if not pixels:
        return ""
    sheet = data_uri(contact_sheet(pixels, labels, columns=COLUMNS, tile=TILE))
    return f"The largest groups; each begins with the sample that stays.\n\n![groups]({sheet})"
