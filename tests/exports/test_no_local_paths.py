"""A published data set tells nothing of the folders of the machines that it comes from, wherever its texts have it from."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from arot_assets.exports.errors import ExportError
from arot_assets.exports.publish import preview
from tests.conftest import Dataset
from tests.exports.conftest import Exporter

TOLD = """{{{{ config(tags=['subset'], meta={{'note': '{old}/notes.txt'}}) }}}}
-- made from {old}, see /home/someone/notes.md
select s.sample_id, s.width, s.uri, s.sidecar, s.tags, s.caption, 'same bytes as ' || b.uri as reason, b.uri as before,
    {{'at': s.uri, 'all': [s.uri, b.uri, null]}} as nested, 'file://' || b.uri as link, 'C:\\Users\\someone\\x.png' as windows,
    json_object('file', b.uri, 'more', json_object('again', s.uri)::varchar)::varchar as generation, 'black/white' as words
from {{{{ source('d', 'samples') }}}} as s
join (select sample_id, any_value(uri) as uri from read_parquet('{old_samples}') group by 1) as b using (sample_id)
where s.status = 'ok' and s.uri not like '{old}/%'  -- not at {old} any more
"""


def texts(value: object) -> list[str]:
    """All texts in a value, keys too."""
    if isinstance(value, dict):
        return [*value, *(t for v in value.values() for t in texts(v))]
    return (
        [t for v in value for t in texts(v)] if isinstance(value, list) else [value] if isinstance(value, str) else []
    )


@pytest.mark.parametrize("layout", ["parquet", "folder"])
def test_a_dataset_whose_folder_moved_is_published_without_either_folder(
    exporter: Exporter, make_dataset: Callable[..., Dataset], tmp_path: Path, layout: str
) -> None:
    old, new = exporter.dataset.source, tmp_path / "another place" / "pics"
    photo = sorted(old.rglob("*.jpg"))[0]
    photo.with_suffix(".json").write_text(json.dumps({"file": str(photo), "log": f"read '{photo}' and /mnt/x/y.png"}))
    photo.with_suffix(".txt").write_text(f"A cat w/ a hat, from {photo}, black/white.")
    exporter.dataset.run("cv2")
    tables = exporter.resources.tables
    kept = tmp_path / "earlier.parquet"
    kept.write_bytes(Path(tables.root, "datasets", "d", "samples", "00000.parquet").read_bytes())
    new.parent.mkdir()
    old.rename(new)
    moved = make_dataset(new)
    moved.run("cv2")
    moved.run("cv2")  # what was told of the first folder is told of the second listing too
    exporter.select(TOLD.format(old=old, old_samples=kept))
    done = exporter.publish(layout=layout, description=f"From {new}, earlier {old}, copied by /home/someone/copy.sh.")
    assert done.rows

    read = [pq.read_table(io.BytesIO(data)) for p, data in exporter.files().items() if p.endswith(".parquet")]
    rows = [{k: v for k, v in row.items() if k != "image"} for table in read for row in table.to_pylist()]
    plain = [data.decode() for p, data in exporter.files().items() if not p.endswith((".parquet", ".jpg"))]
    for text in [*texts(rows), *plain]:
        for secret in (str(old), str(new), str(tmp_path), "someone", "/mnt/x", "file:"):
            assert secret not in text, text
    for row in rows:
        name = Path(row["uri"]).name
        assert Path(row["uri"]).parts[0] in ("city", "mountain", "sea")  # below the source, as it is now …
        assert row["before"] == row["link"] == row["uri"]  # … and as it was
        assert (
            row["reason"] == f"same bytes as {row['uri']}"
            and row["words"] == "black/white"
            and row["windows"] == "x.png"
        )
        assert row["nested"] == {"at": row["uri"], "all": [row["uri"], row["uri"], None]}
        again = json.loads(json.loads(row["generation"])["more"])["again"]
        assert Path(again).name == name
    (told,) = [row for row in rows if row["uri"].endswith(photo.name)]
    below = str(photo.relative_to(old))
    assert (
        json.loads(told["sidecar"])["file"] == below
        and json.loads(told["sidecar"])["log"] == f"read '{below}' and y.png"
    )
    assert told["caption"] == f"A cat w/ a hat, from {below}, black/white."
    (card,) = [text for text in plain if text.startswith("---")]
    assert "From pics, earlier source, copied by copy.sh." in card and "| `d` | `pics` |" in card
    assert "read_parquet('earlier.parquet')" in card


def test_a_column_that_is_called_like_a_path_is_refused(exporter: Exporter) -> None:
    exporter.select(
        "{{ config(tags=['subset']) }} select sample_id, width, {'/home/someone/x.jpg': width} as sizes "
        "from {{ source('d', 'samples') }} as samples where samples.status = 'ok'"
    )
    with pytest.raises(ExportError, match="in the name of a column contains a local path; give the column another"):
        preview(exporter.declaration(), exporter.project, exporter.resources)
