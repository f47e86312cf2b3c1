"""Which rows and columns are published, and what is refused before anything is read."""

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arot_assets.errors import ProjectError
from arot_assets.exports.digest import ColumnsDigest
from arot_assets.exports.errors import ExportError
from arot_assets.exports.publish import preview
from arot_assets.exports.rows import regrouped, source_datasets
from tests.conftest import Dataset
from tests.exports.conftest import SUBSET, Exporter

FROM = "from {{ source('d', 'samples') }} as samples where samples.status = 'ok'"
values = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text(max_size=3),
            "flag": st.none() | st.booleans(),
            "number": st.none() | st.integers(-5, 5),
            "list": st.none() | st.lists(st.none() | st.lists(st.none() | st.integers(0, 3), max_size=2), max_size=2),
            "inner": st.none()
            | st.fixed_dictionaries({"x": st.none() | st.floats(), "y": st.none() | st.binary(max_size=2)}),
        }
    ),
    max_size=12,
)
SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "flag": pa.bool_(),
        "number": pa.int16(),
        "list": pa.list_(pa.list_(pa.int64())),
        "inner": pa.struct({"x": pa.float64(), "y": pa.binary()}),
    }
)


def columns(exporter: Exporter, **fields: object) -> tuple[str, ...]:
    """The columns that would be published."""
    return preview(exporter.declaration(**fields), exporter.project, exporter.resources).columns


def digest(rows: list[dict[str, object]], cuts: list[int]) -> tuple[str, int]:
    """Digest of rows that come in batches of these sizes."""
    table, found = pa.Table.from_pylist(rows, SCHEMA), ColumnsDigest()
    for group in regrouped(iter(table.to_batches()), cuts):
        found.add(group)
    return found.hexdigest("x"), found.size


@given(values, st.lists(st.integers(1, 4), min_size=12, max_size=12))
def test_the_digest_does_not_know_how_rows_were_batched(rows: list[dict[str, object]], cuts: list[int]) -> None:
    assert digest(rows, cuts) == digest(rows, [len(rows)] if rows else [])


@given(values)
def test_the_digest_tells_any_two_different_tables_apart(rows: list[dict[str, object]]) -> None:
    whole = [len(rows)] if rows else []
    for name, other in (("text", "other text"), ("number", 7), ("list", [[9]]), ("inner", {"x": 1.5, "y": b"zzz"})):
        changed = [dict(r) for r in rows]
        if changed:
            random.Random(0).choice(changed)[name] = other
            assert digest(changed, whole) != digest(rows, whole)
    assert digest([*rows, dict.fromkeys(SCHEMA.names)], [len(rows) + 1]) != digest(rows, whole)


def test_all_columns_of_the_subset_and_caption_and_tags_are_published(exporter: Exporter) -> None:
    own = ("sample_id", "uri", "width", "brightness", "generation")
    assert columns(exporter) == ("image", *own, "caption", "tags")


def test_only_the_declared_columns_are_published_beside_image_and_identity(exporter: Exporter) -> None:
    assert columns(exporter, columns=["caption", "width"]) == ("image", "sample_id", "caption", "width")
    assert columns(exporter, columns=[]) == ("image", "sample_id")


def test_a_caption_of_the_subset_goes_before_that_of_the_sample(exporter: Exporter) -> None:
    exporter.select("{{ config(tags=['subset']) }} select sample_id, width, 'written' as caption " + FROM)
    exporter.publish(columns=["caption"])
    (parquet,) = [d for p, d in exporter.files().items() if p.endswith(".parquet")]
    import pyarrow.parquet as pq

    assert set(pq.read_table(pa.BufferReader(parquet))["caption"].to_pylist()) == {"written"}


def test_uris_are_published_below_their_source(exporter: Exporter) -> None:
    exporter.select(
        "{{ config(tags=['subset']) }} select sample_id, width, uri, [uri, null] as uris, 'from ' || uri as said "
        + FROM
    )
    exporter.publish(layout="folder")
    import pyarrow.parquet as pq

    rows = pq.read_table(pa.BufferReader(exporter.files()["train/metadata.parquet"])).to_pylist()
    assert {Path(r["uri"]).parts[0] for r in rows} == {"city", "mountain", "sea"}
    assert all(r["uris"] == [r["uri"], None] and r["said"] == f"from {r['uri']}" for r in rows)


@pytest.mark.parametrize(
    ("select", "fields", "message"),
    [
        ("sample_id, width", {"columns": ["widht"]}, r"has no column 'widht'. Did you mean 'width'\?"),
        ("sample_id, width, 1 as image", {}, "must not be named 'image'"),
        ("sample_id, width, 'x' as my_file_name", {"layout": "folder"}, "must not be named 'my_file_name'"),
        ("sample_id, width, map{'a': 1} as m", {}, "column 'm' is a map<string, int32>, which the datasets library"),
        ("null::text as sample_id, width", {}, "12 rows of subset 'bright' have no sample_id"),
        ("min(sample_id) over () as sample_id, width", {}, "has 11 rows that repeat a sample"),
    ],
)
def test_what_cannot_be_published_is_refused_with_the_remedy(
    exporter: Exporter, select: str, fields: dict[str, object], message: str
) -> None:
    exporter.select(f"{{{{ config(tags=['subset']) }}}} select {select} {FROM}")
    with pytest.raises(ExportError, match=message):
        columns(exporter, **fields)


def test_a_subset_that_is_none_is_not_there_or_has_no_rows_is_refused(exporter: Exporter) -> None:
    with pytest.raises(ProjectError, match=r"no model 'brigt' .* Did you mean 'bright'\?"):
        columns(exporter, subset="brigt")
    exporter.select(SUBSET, least=300)
    with pytest.raises(ExportError, match="subset 'bright' has no row"):
        columns(exporter)
    exporter.select(f"select sample_id, width {FROM}")
    with pytest.raises(ExportError, match="model 'bright' is not a subset; tag it"):
        columns(exporter)


def test_too_many_image_files_are_refused(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    from arot_assets.exports import folder

    monkeypatch.setattr(folder, "MOST_FILES", 11)
    with pytest.raises(ExportError, match=r"12 image files .* use `layout: parquet`"):
        columns(exporter, layout="folder")


def test_samples_of_two_datasets_are_published_together(
    exporter: Exporter, tmp_path: Path, make_dataset: Callable[..., Dataset]
) -> None:
    more = tmp_path / "more"
    for number, path in enumerate(sorted(exporter.dataset.source.rglob("*.jpg"))[:3]):
        more.mkdir(exist_ok=True)
        (more / f"{number}.jpg").write_bytes(path.read_bytes() + b"\0" * number)  # the first is there already
    make_dataset(more, name="e").run()
    sources = exporter.folder / "models" / "sources.yml"
    sources.write_text(sources.read_text() + "  - name: e\n    tables: [{name: samples}]\n")
    exporter.select(
        "{{ config(tags=['subset']) }} select sample_id, width from (select sample_id, width, status from "
        "{{ source('d', 'samples') }} union select sample_id, width, status from {{ source('e', 'samples') }}) as samples "
        "where status = 'ok'  -- usable"
    )
    assert source_datasets(exporter.project, "bright") == ("d", "e")
    assert exporter.publish().rows == 14
