"""Thresholds, ratings, implications and captions of taggers in SQL: in the catalogue, in our runner and in dbt alike."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from arot_assets.metrics.tag_lists import write_tag_list
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from resources.models.entries import find_entry
from resources.models.tag_files import Tag, read_tags
from resources.tables import TableRef, Tables, TagsRef
from resources.warehouse import Warehouse
from resources.warehouse.macros import MACROS
from tests.subsets.conftest import SHARDS, SQL_FOLDER
from tests.subsets.test_dbt_parity import DBT, dbt_build

TAGS = [
    ("1girl", "general", None),
    ("hatsune_miku", "character", None),
    ("vocaloid", "copyright", 0.6),
    ("general", "rating", None),
    ("explicit", "rating", None),
    ("long_hair", "general", None),
    ("very_long_hair", "general", None),
    ("^_^", "general", None),
    ('it\'s_"so"', None, None),
]
ROWS = {
    "a": {0: 0.9, 1: 0.86, 5: 0.5, 3: 0.7, 4: 0.06},
    "b": {2: 0.55, 1: 0.84, 5: 0.36, 6: 0.35, 7: 0.4, 4: 0.8},
    "c": {},
    "e": {8: 0.5, 2: 0.6, 0: 0.349},
}


WORDS = read_tags(find_entry("ram_plus"), Path())
"""Those of RAM++: they have no category, and each has a threshold of its own."""
WORD = {name: number for number, (name, _, _) in enumerate(WORDS)}
SAID = {
    "a": {"nebula": 0.46, "cat": 0.89, "long hair": 0.66, "tree": 0.3},  # from .45, .9, .65, .8
    "b": {"nebula": 0.44, "cat": 0.91, "long hair": 0.64, "tree": 0.81},
    "c": {},
    "e": {"3D CG rendering": 0.7, "nebula": 0.45},
}


def write_tagger(
    tables: Tables,
    dataset: str,
    tagger: str,
    rows: dict[str, dict[int, float]],
    failed: tuple[str, ...] = (),
    tags: Sequence[Tag] = TAGS,
) -> None:
    """A tagger's table as metrics make it: ids and probabilities above a floor, the most probable first."""
    samples = [*rows, *failed]
    ordered = {s: sorted(rows[s].items(), key=lambda item: -item[1]) for s in rows}
    columns = {
        "sample_id": pa.array(samples),
        "status": pa.array(["ok"] * len(rows) + ["failed"] * len(failed)),
        "reason": pa.array([None] * len(rows) + ["corrupt"] * len(failed), pa.string()),
        "tags": pa.array([[i for i, _ in ordered[s]] for s in rows] + [None] * len(failed), pa.list_(pa.int32())),
        "probabilities": pa.array(
            [[p for _, p in ordered[s]] for s in rows] + [None] * len(failed), pa.list_(pa.float32())
        ),
    }
    tables.write(pa.table(columns), TableRef(dataset, tagger, SHARDS[0]))
    write_tag_list(tables, tagger, tags, "v1")


@pytest.fixture
def tagged(demo: Tables) -> Tables:
    """The demo dataset with the tables of three taggers."""
    words = {sample: {WORD[name]: p for name, p in said.items()} for sample, said in SAID.items()}
    write_tagger(demo, "demo", "words", words, tags=WORDS)
    write_tagger(demo, "demo", "wd", ROWS, failed=("d",))
    write_tagger(demo, "demo", "other", {"a": {0: 0.9, 5: 0.9}, "b": {7: 0.9}, "c": {}, "e": {0: 0.9}})
    return demo


def asked(warehouse: Warehouse, query: str) -> list[tuple]:  # type: ignore[type-arg]
    with warehouse.connect() as con:
        return con.execute(query).fetchall()


def test_every_good_sample_has_a_row_with_its_tags_in_order(tagged: Tables, warehouse: Warehouse) -> None:
    found = dict(asked(warehouse, "from tags_above('demo', 'wd')"))
    assert found == {
        "a": ["hatsune_miku", "1girl", "long_hair"],
        "b": ["hatsune_miku", "^_^", "long_hair", "very_long_hair"],
        "c": [],
        "e": ["vocaloid", 'it\'s_"so"'],
    }


def test_each_category_has_its_threshold_and_the_published_one_holds_where_none_is_given(
    tagged: Tables, warehouse: Warehouse
) -> None:
    found = dict(asked(warehouse, "from tags_above('demo', 'wd', min_character := 0.85, min_general := 0.4)"))
    assert found == {
        "a": ["hatsune_miku", "1girl", "long_hair"],
        "b": ["^_^"],
        "c": [],
        "e": ["vocaloid", 'it\'s_"so"'],
    }
    lower = dict(asked(warehouse, "from tags_above('demo', 'wd', min_copyright := 0.5)"))
    assert "vocaloid" in lower["b"]


def test_rating_is_the_most_probable_one(tagged: Tables, warehouse: Warehouse) -> None:
    found = asked(
        warehouse, "select sample_id, rating, round(probability::double, 2) from ratings('demo', 'wd') order by 1"
    )
    assert found == [("a", "general", 0.7), ("b", "explicit", 0.8), ("c", None, None), ("e", None, None)]


def test_captions_are_made_of_tags_in_sql(tagged: Tables, warehouse: Warehouse) -> None:
    query = """select sample_id, caption_of_tags(tags_first(without_tags(drop_implied(tags, map {'very_long_hair': ['long_hair']}),
        ['1*']), ['^_^'])) from tags_above('demo', 'wd') order by 1"""
    assert asked(warehouse, query) == [
        ("a", "hatsune miku, long hair"),
        ("b", "^_^, hatsune miku, very long hair"),
        ("c", ""),
        ("e", 'vocaloid, it\'s "so"'),
    ]
    assert asked(warehouse, "select add_implied(['b'], map {'b': ['z', 'a', 'b']})") == [(["b", "a", "z"],)]


def test_agreement_of_two_taggers(tagged: Tables, warehouse: Warehouse) -> None:
    query = """select sample_id, round(tag_agreement(a.tags, b.tags), 3) from tags_above('demo', 'wd') a
        join tags_above('demo', 'other') b using (sample_id) order by 1"""
    assert asked(warehouse, query) == [("a", 0.667), ("b", 0.25), ("c", 1.0), ("e", 0.0)]


def test_each_word_of_ram_plus_has_its_own_threshold(tagged: Tables, warehouse: Warehouse) -> None:
    published = dict(asked(warehouse, "from tags_above('demo', 'words')"))
    assert published == {
        "a": ["long hair", "nebula"],
        "b": ["cat", "tree"],
        "c": [],
        "e": ["3D CG rendering", "nebula"],  # what reaches the threshold counts
    }
    least = dict(asked(warehouse, "from tags_above('demo', 'words', min_general := 0.6, min_character := 0.99)"))
    assert least == {
        "a": ["cat", "long hair"],
        "b": ["cat", "tree", "long hair"],
        "c": [],
        "e": ["3D CG rendering"],
    }, "words without a category are general"
    assert asked(warehouse, "select rating from ratings('demo', 'words')") == [(None,)] * 4
    rows = asked(
        warehouse, "select tag, category, threshold from tag_rows('demo', 'words') where sample_id = 'b' order by 1"
    )
    assert [(t, c, round(p, 2)) for t, c, p in rows] == [
        ("cat", None, 0.9),
        ("long hair", None, 0.65),
        ("nebula", None, 0.45),
        ("tree", None, 0.8),
    ]


def test_words_of_ram_plus_become_a_caption(tagged: Tables, warehouse: Warehouse) -> None:
    query = """select sample_id, caption_of_tags(tags_first(without_tags(drop_implied(tags, map {'cat': ['tree']}), ['3D *']),
        ['nebula'])) from tags_above('demo', 'words') order by 1"""
    assert asked(warehouse, query) == [("a", "nebula, long hair"), ("b", "cat"), ("c", ""), ("e", "nebula")]


def test_taggers_agree_however_they_write_a_tag(tagged: Tables, warehouse: Warehouse) -> None:
    query = """select sample_id, round(tag_agreement(a.tags, b.tags), 3) from tags_above('demo', 'words') a
        join tags_above('demo', 'wd') b using (sample_id) order by 1"""
    found = asked(warehouse, query)  # of a: long hair of nebula, hatsune_miku, 1girl and itself
    assert found == [("a", 0.25), ("b", 0.0), ("c", 1.0), ("e", 0.0)]
    assert asked(warehouse, "select tag_agreement(['Long_Hair', 'long hair'], ['long_hair'])") == [(1.0,)]


def test_cosine_of_stored_vectors(demo: Tables, warehouse: Warehouse) -> None:
    vectors = pa.array([[1.0, 0.0], [1.0, 1.0]], pa.list_(pa.float16(), 2))
    demo.write(pa.table({"sample_id": ["a", "b"], "vector": vectors}), TableRef("demo", "v", SHARDS[0]))
    ((found,),) = asked(
        warehouse,
        "select cosine(x.vector, y.vector) from demo.v x, demo.v y where x.sample_id = 'a' and y.sample_id = 'b'",
    )
    assert found == pytest.approx(np.sqrt(0.5), abs=1e-6)


def test_macros_are_in_the_catalogue_file(tagged: Tables, warehouse: Warehouse) -> None:
    warehouse.refresh()
    with duckdb.connect(str(warehouse.catalog_path), read_only=True) as con:
        assert con.execute("select count(*) from tags_above('demo', 'wd')").fetchall() == [(4,)]
        assert con.execute("select name from tags.wd where id = 1").fetchall() == [("hatsune_miku",)]


def test_list_of_another_model_replaces_that_of_before(tables: Tables) -> None:
    write_tag_list(tables, "wd", TAGS, "v1")
    before = tables.version(TagsRef("wd"))
    write_tag_list(tables, "wd", TAGS[:2], "v1")
    assert tables.version(TagsRef("wd")) == before
    write_tag_list(tables, "wd", TAGS[:2], "v2")
    assert tables.read(TagsRef("wd"))["name"].to_pylist() == ["1girl", "hatsune_miku"]


def test_files_of_macros_are_up_to_date() -> None:
    script = Path(__file__).parents[2] / "docs" / "macros.py"
    spec = importlib.util.spec_from_file_location("write_macros", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FILE.read_text() == module.dbt_file(), f"{module.FILE}: run `python docs/macros.py`"
    assert (SQL_FOLDER / "macros" / "arot.sql").samefile(module.FILE)


MODELS = {
    "models/rows.sql": "select * from {{ tag_rows(source('demo', 'wd'), source('tags', 'wd')) }}",
    "models/above.sql": "select * from {{ tags_above(source('demo', 'wd'), source('tags', 'wd'), min_character=0.85, "
    "min_general=var('general', 0.4)) }}",
    "models/rated.sql": "select r.* from {{ ratings(source('demo', 'wd'), source('tags', 'wd')) }} r",
    "models/captions.sql": """
with implications as (select map(['very_long_hair'], [['long_hair']]) as m),
tagged as (select * from {{ tags_above(source('demo', 'wd'), source('tags', 'wd')) }})
select sample_id, {{ caption_of_tags(tags_first(without_tags(drop_implied('tags', 'm'), "['1*']"), "['^_^']")) }} as caption,
    {{ add_implied('tags', 'm') }} as more
from tagged, implications""",
    "models/agreement.sql": """
select sample_id, {{ tag_agreement('a.tags', 'b.tags') }} as agreement, {{ cosine('[1.0, 0.0]', '[1.0, 1.0]') }} as c
from {{ tags_above(source('demo', 'wd'), source('tags', 'wd')) }} a
join {{ tags_above(source('demo', 'other'), source('tags', 'other')) }} b using (sample_id)""",
    "models/words.sql": """
select a.sample_id, a.tags, {{ caption_of_tags('a.tags') }} as caption, {{ tag_agreement('a.tags', 'b.tags') }} as agreement
from {{ tags_above(source('demo', 'words'), source('tags', 'words')) }} a
join {{ tags_above(source('demo', 'wd'), source('tags', 'wd')) }} b using (sample_id)""",
    "models/words_above.sql": "select * from {{ tags_above(source('demo', 'words'), source('tags', 'words'), min_general=0.6) }}",
    "models/sources.yml": """
version: 2
sources:
  - name: demo
    database: catalog
    tables: [{name: wd}, {name: other}, {name: words}]
  - name: tags
    database: catalog
    tables: [{name: wd}, {name: other}, {name: words}]
""",
}
SAME = {
    "rows": "from tag_rows('demo', 'wd')",
    "above": "from tags_above('demo', 'wd', min_character := 0.85, min_general := 0.4)",
    "rated": "from ratings('demo', 'wd')",
    "captions": "select sample_id, caption_of_tags(tags_first(without_tags(drop_implied(tags, m), ['1*']), ['^_^'])), "
    "add_implied(tags, m) from tags_above('demo', 'wd'), (select map(['very_long_hair'], [['long_hair']]) as m)",
    "agreement": "select sample_id, tag_agreement(a.tags, b.tags), cosine([1.0, 0.0], [1.0, 1.0]) "
    "from tags_above('demo', 'wd') a join tags_above('demo', 'other') b using (sample_id)",
    "words": "select sample_id, a.tags, caption_of_tags(a.tags), tag_agreement(a.tags, b.tags) "
    "from tags_above('demo', 'words') a join tags_above('demo', 'wd') b using (sample_id)",
    "words_above": "from tags_above('demo', 'words', min_general := 0.6)",
}
"""Model -> the query of the catalogue's macros that gives the same rows."""


def write(write_project, name: str = "small") -> Path:  # type: ignore[no-untyped-def]
    profiles = (SQL_FOLDER / "profiles.yml").read_text().replace("arot:\n", "small:\n", 1)
    macros = {"macros/arot.sql": (SQL_FOLDER / "macros" / "arot.sql").read_text()}
    yaml = "name: small\nprofile: small\nconfig-version: 2\nmodels: {small: {+materialized: table}}\n"
    folder: Path = write_project({**MODELS, **macros, "profiles.yml": profiles, "dbt_project.yml": yaml})
    return folder


def test_macros_of_models_give_the_rows_of_those_of_the_catalogue(
    write_project, tagged: Tables, warehouse: Warehouse
) -> None:
    project = load_project(write(write_project))
    assert not project.broken and set(SAME) == set(project.models)
    assert {m.name for m in MACROS} == {name for name in project.templates.macros if not name.startswith("test_")}
    build_all(project, warehouse, tagged)
    for name, query in SAME.items():
        expected = asked(warehouse, f"{query} order by all")
        assert len(expected) > 3 and asked(warehouse, f"from main.{name} order by all") == expected


@pytest.mark.slow
@pytest.mark.skipif(not DBT.exists(), reason="dbt is not installed (pip install .[dev])")
def test_dbt_gives_the_same_rows(write_project, tagged: Tables, warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.refresh()
    project = load_project(write(write_project))
    target = tmp_path / "dbt"
    target.mkdir()
    done = dbt_build(project, warehouse.catalog_path, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {r["status"] for r in json.loads((target / "run_results.json").read_text())["results"]} == {"success"}
    with duckdb.connect(str(target / "dbt.duckdb")) as con:
        for name, query in SAME.items():
            assert con.execute(f"from main.{name} order by all").fetchall() == asked(warehouse, f"{query} order by all")
