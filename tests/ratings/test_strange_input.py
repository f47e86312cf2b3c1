"""Known and strange input: every event keeps a row, every fault has words, nothing breaks what is made from it.

Each case goes the whole way: a file, events, the joined table, scale, labels and raters, the division, and what to rate next.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arot_assets.ratings.build import build_ratings, not_conserved
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.events import read_events
from arot_assets.ratings.queue import build_queue
from arot_assets.ratings.report import scale_picture, use_picture
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.split import build_split
from arot_assets.ratings.trust import Conclusions, build_trust
from resources.tables import RatingsRef
from tests.ratings.conftest import Rated

SPLIT = {"near_duplicate_distance": None, "val": 0.2, "test": 0.2}


def whole_way(rated: Rated, lines: list[str], **fields: Any) -> tuple[list[dict[str, Any]], Conclusions]:
    """The rows and what is concluded from them, after every step; each line of the file has its event and its row."""
    declared = rated.csv("image,rater,score,when\n" + "".join(f"{line}\n" for line in lines), split=SPLIT, **fields)
    return through(rated, declared, len(lines))


def through(rated: Rated, declared: RatingsDeclaration, said: int) -> tuple[list[dict[str, Any]], Conclusions]:
    """Every step after declaring; ``said`` is how many things the sources say."""
    r = rated.dataset.resources
    built = build_ratings(r.warehouse, declared)
    assert sum(source.new for source in built.sources) == said
    assert not_conserved(r.tables, "q") == []
    rows = r.tables.read(RatingsRef("q")).to_pylist()
    assert len(rows) == said
    assert all(row["reason"] for row in rows if row["status"] != "ok")
    found = build_trust(r.tables, declared)
    use_picture(r.tables.read(RatingsRef("q")))
    scale_picture(found)
    with r.warehouse.connect() as con:
        table = build_split(con, r.tables, declared)
        assert len(build_queue(con, r.tables, declared, 5)) == 5
    rated_samples = {*found.scale["sample_id"].to_pylist(), *found.labels["sample_id"].to_pylist()}
    assert set(table["sample_id"].to_pylist()) == rated_samples
    counted = sum(raters["ratings"] for raters in found.raters.to_pylist())
    assert counted == sum(row["status"] == "ok" for row in rows)
    return rows, found


def reasons(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["reason"] for row in rows if row["status"] not in ("ok", "replaced"))


def test_unknown_samples_wait_with_their_reason(rated: Rated) -> None:
    rows, found = whole_way(rated, [f"nowhere/{k}.jpg,ann,3," for k in range(3)] + [f"{rated.images[0]},ann,4,"])
    assert reasons(rows)["no sample of 'd' has the path 'nowhere/1.jpg'"] == 1
    assert (found.trust.matched, found.scale.num_rows) == (0.25, 1)


def test_only_unknown_samples_are_no_error(rated: Rated) -> None:
    rows, found = whole_way(rated, ["nowhere.jpg,ann,3,"])
    assert [row["status"] for row in rows] == ["unmatched"]
    assert found.scale.num_rows == 0 and found.trust.matched == 0
    assert [row["rater"] for row in found.raters.to_pylist()] == ["ann"]  # although nothing of theirs counts


def test_contradictory_labels_are_kept_and_no_class_is_made_of_a_draw(rated: Rated) -> None:
    a, b, *_ = rated.images
    lines = [f"{a},ann,cat,", f"{a},ann,dog,", f"{b},ann,cat,", f"{b},bob,dog,"]
    rows, found = whole_way(rated, lines, kind="category")
    assert [row["status"] for row in rows] == ["ok"] * 4
    labels = {row["sample_id"]: (row["label"], row["n"]) for row in found.labels.to_pylist()}
    assert labels[rated.ids[rated.paths[0]]] == ("dog", 1)  # a rater's last word
    assert labels[rated.ids[rated.paths[1]]] == (None, 2)
    assert found.trust.self_consistency.value <= 0  # ann contradicts herself


def test_one_class_and_one_value_have_no_agreement_but_words(rated: Rated) -> None:
    lines = [f"{image},{rater},cat," for image in rated.images for rater in ("ann", "bob")]
    _, found = whole_way(rated, lines, kind="category")
    assert str(found.trust.classes) == "not defined (12 samples have two ratings or more)"
    assert {row["label"] for row in found.labels.to_pylist()} == {"cat"}


def test_ten_rows_are_enough_to_go_on(rated: Rated) -> None:
    rows, found = whole_way(rated, [f"{image},ann,{k % 5 + 1}," for k, image in enumerate(rated.images[:10])])
    assert [row["status"] for row in rows] == ["ok"] * 10
    assert np.isfinite(found.scale["value"].to_numpy()).all()


@pytest.mark.parametrize(
    ("text", "said"), [("nan", "'nan'"), ("inf", "'inf'"), ("", "an empty value"), ("good", "'good'")]
)
def test_no_number_is_invalid_and_says_so(rated: Rated, text: str, said: str) -> None:
    rows, _ = whole_way(rated, [f"{rated.images[0]},ann,{text},", f"{rated.images[1]},ann,3,"])
    assert reasons(rows) == {f"{said} is no number": 1}


def test_nan_in_parquet_and_jsonl_is_no_number_either(rated: Rated) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {"image": [*rated.images[:3], None], "score": [float("nan"), 3.0, None, 2.0], "rater": ["ann"] * 4}
    parquet, lines = rated.folder / "r.parquet", rated.folder / "r.jsonl"
    pq.write_table(pa.table(table), parquet)
    huge = {"image": rated.images[4], "score": 10**400, "rater": "bob"}
    lines.write_text(
        json.dumps({"image": rated.images[3], "score": float("nan"), "rater": "bob"}) + "\n" + json.dumps(huge) + "\n"
    )
    common = {"by": "path", "item": "image", "value": "score", "rater": "rater"}
    declared = rated.declared(
        {"name": "p", "file": str(parquet), **common}, {"name": "j", "file": str(lines), **common}, split=SPLIT
    )
    rows, _ = through(rated, declared, 6)
    assert Counter(row["status"] for row in rows) == {"ok": 1, "invalid": 5}
    assert reasons(rows)["the row names no sample"] == 1


def test_a_rater_who_always_says_five_is_told_and_moves_nobody(rated: Rated) -> None:
    lines = [f"{image},ann,{k % 5 + 1}," for k, image in enumerate(rated.images)]
    _, alone = whole_way(rated, lines)
    lines += [f"{image},eve,5," for image in rated.images]
    declared = rated.csv("image,rater,score,when\n" + "".join(f"{line}\n" for line in lines), split=SPLIT)
    build_ratings(rated.dataset.resources.warehouse, declared)
    found = build_trust(rated.dataset.resources.tables, declared)
    eve = next(row for row in found.raters.to_pylist() if row["rater"] == "eve")
    assert (eve["flags"], eve["top_share"]) == (["straight-liner"], 1.0)

    def order(one: Conclusions) -> list[str]:
        rows = sorted(one.scale.to_pylist(), key=lambda row: (round(row["value"], 6), row["sample_id"]))
        return [row["sample_id"] for row in rows]

    assert order(found) == order(alone)


def test_two_raters_without_a_sample_in_common_have_two_parts(rated: Rated) -> None:
    halves = (("ann", rated.images[:6]), ("bob", rated.images[6:]))
    lines = [f"{image},{rater},{k % 4 + 1}," for rater, images in halves for k, image in enumerate(images)]
    _, found = whole_way(rated, lines)
    assert (found.trust.parts, set(found.scale["part"].to_pylist())) == (2, {0, 1})
    assert [row["bias"] for row in found.raters.to_pylist()] == [None, None]
    assert "not defined" in str(found.trust.scores)


def test_mixed_scales_in_one_file_are_told_and_can_be_declared(rated: Rated) -> None:
    lines = [
        f"{image},{who},{score},"
        for k, image in enumerate(rated.images)
        for who, score in (("ann", k % 5 + 1), ("bob", 2 * (k % 5) + 2))
    ]
    rows, found = whole_way(rated, lines)
    outside = "the score 10 is outside 1 to 5; declare the scale of its source, or that of its rater in `scales`"
    assert reasons(rows)[outside] == 2
    told = {row["rater"]: (row["outside"], row["flags"]) for row in found.raters.to_pylist()}
    assert told["ann"] == (0, [])
    assert told["bob"][0] == sum(reasons(rows).values()) and told["bob"][1][0] == "another scale"
    declared = rated.csv(
        "image,rater,score,when\n" + "".join(f"{line}\n" for line in lines),
        split=SPLIT,
        scales={"bob": {"low": 2, "high": 10}},
    )
    build_ratings(rated.dataset.resources.warehouse, declared)
    now = [
        row for row in rated.dataset.resources.tables.read(RatingsRef("q")).to_pylist() if row["status"] != "replaced"
    ]
    assert {row["status"] for row in now} == {"ok"}
    by_rater = {who: sorted(row["value"] for row in now if row["rater"] == who) for who in ("ann", "bob")}
    assert by_rater["ann"] == by_rater["bob"]
    assert len(read_events(rated.dataset.resources.tables, "q")) == 36  # bob's are corrections of what was misread
    assert not_conserved(rated.dataset.resources.tables, "q") == []


@pytest.mark.parametrize(
    ("when", "note"),
    [
        ("2026-01-02 03:04", "names no zone; set `timezone` of the source"),
        ("yesterday", "is not ISO 8601"),
        ("99999999999999999999", "is no number of seconds since 1970"),
        ("9999-12-31T23:59:59-10:00", "is outside the calendar"),
    ],
)
def test_a_time_that_is_not_understood_is_a_note_and_the_rating_counts(rated: Rated, when: str, note: str) -> None:
    rows, _ = whole_way(rated, [f"{rated.images[0]},ann,3,{when}"], time="when")
    assert (rows[0]["status"], rows[0]["rated_at"]) == ("ok", None)
    assert note in rows[0]["note"]


def test_a_declared_zone_is_taken(rated: Rated) -> None:
    rows, _ = whole_way(rated, [f"{rated.images[0]},ann,3,2026-07-02 03:04"], time="when", timezone="Europe/Berlin")
    assert rows[0]["rated_at"].isoformat() == "2026-07-02T01:04:00+00:00"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", "", "has no column 'image'"),
        ("r.csv", "image;rater;score\na;b;3\n", "has no column 'image'. Known: image;rater;score."),
        ("r.csv", b"image,rater,score\n\xff\xfe,a,1\n", "cannot be read"),
        ("r.jsonl", "[1, 2]\n", "line 1 is no JSON object"),
        ("r.jsonl", '{"image": "a", "rater": "b", "score": 1}\n{"imag', "line 2 is no JSON"),
        ("r.parquet", "no parquet", "cannot be read"),
        ("r.xlsx", "x", "its name must end in .csv, .tsv, .parquet or .jsonl"),
    ],
)
def test_a_file_that_is_no_table_is_one_error(rated: Rated, name: str, text: str | bytes, said: str) -> None:
    path = rated.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = {"name": "s", "file": str(path), "by": "path", "item": "image", "rater": "rater", "value": "score"}
    with pytest.raises(RatingsError, match="source 's'") as told:
        rated.build(rated.declared(source))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_what_label_studio_and_lenslet_may_leave_out_breaks_nothing(rated: Rated) -> None:
    export, log = rated.folder / "export.json", rated.folder / "q.results.jsonl"
    export.write_text(json.dumps([{"id": 1, "data": None, "annotations": None}, {"id": 2, "annotations": [{"id": 3}]}]))
    results = rated.folder / ".lenslet" / "ranking" / log.name
    results.parent.mkdir(parents=True)
    (rated.folder / "q.json").write_text(json.dumps([{"instance_id": "1", "images": rated.paths[:2]}]))
    results.write_text(json.dumps({"instance_id": "1", "completed": True, "final_ranks": [["x"], ["0"]]}) + "\n")
    declared = rated.declared(
        {"name": "ls", "type": "label_studio", "file": str(export)},
        {
            "name": "rank",
            "type": "lenslet_ranking",
            "file": str(results),
            "by": "uri",
            "kind": "pair",
            "rater_name": "ann",
        },
        split=SPLIT,
    )
    rows, _ = through(rated, declared, 2)
    assert sorted(row["reason"] for row in rows) == [
        "not every image has one rank",
        "the task's data has no 'sample_id'; put the sample's name there when importing",
    ]
    assert Path(export).exists()
