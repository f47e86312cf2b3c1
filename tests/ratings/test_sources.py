"""Ratings in every form become events, whatever is wrong with them; and nothing is overwritten."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arot_assets.ratings.build import not_conserved
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.events import read_events, withdraw
from arot_assets.ratings.said import RatingsError
from arot_assets.ratings.trust import build_trust
from tests.ratings.conftest import SOURCE, Rated

HEAD = "image,rater,score,when\n"


def statuses(rows: list[dict]) -> list[str]:  # type: ignore[type-arg]
    return [row["status"] for row in rows]


def test_a_score_finds_its_sample_by_path_and_moves_to_the_declared_scale(rated: Rated) -> None:
    (row,) = rated.build(
        rated.csv(
            f"{HEAD}{rated.images[0]},ann,10,2026-01-02T03:04:05+01:00\n", time="when", scale={"low": 0, "high": 10}
        )
    )
    assert row["sample_id"] == rated.ids[rated.paths[0]]
    assert (row["status"], row["score"], row["value"], row["rater"]) == ("ok", 10, 5, "ann")
    assert row["rated_at"].isoformat() == "2026-01-02T02:04:05+00:00"


@pytest.mark.parametrize(("by", "column"), [("id", "sample_id"), ("sha256", "sha256"), ("uri", "uri")])
def test_samples_are_found_by_id_by_content_and_by_address(rated: Rated, by: str, column: str) -> None:
    ((name, sample),) = rated.dataset.sql(f"select {column}, sample_id from d.samples order by uri limit 1")
    (row,) = rated.build(rated.csv(f"image,rater,score\n{name},ann,4\n", by=by))
    assert (row["status"], row["sample_id"]) == ("ok", sample)


def test_what_cannot_be_used_stays_with_its_reason(rated: Rated) -> None:
    a, b, *_ = rated.images
    text = f"{HEAD}nowhere.jpg,ann,4,\n{a},ann,nan,\n{a},bob,7,\n,ann,3,\n{b},ann,3,2026-01-02 03:04\n"
    rows = rated.build(rated.csv(text, time="when"))
    assert len(rows) == 5
    reasons = {row["items"][0]: row["reason"] for row in rows if row["rater"] == "ann"}
    assert reasons["nowhere.jpg"] == "no sample of 'd' has the path 'nowhere.jpg'"
    assert reasons[a] == "'nan' is no number"
    assert reasons[""] == "the row names no sample"
    assert [r["reason"] for r in rows if r["rater"] == "bob"] == [
        "the score 7 is outside 1 to 5; declare the scale of its source, or that of its rater in `scales`"
    ]
    (timeless,) = [row for row in rows if row["items"] == [b]]
    assert (timeless["status"], timeless["rated_at"]) == ("ok", None)
    assert "names no zone" in timeless["note"]
    assert not_conserved(rated.dataset.resources.tables, "q") == []


def test_reading_again_adds_nothing_and_a_change_is_a_correction(rated: Rated) -> None:
    a, tables = rated.images[0], rated.dataset.resources.tables
    for score in (3, 3, 4, 3):
        rows = rated.build(rated.csv(f"{HEAD}{a},ann,{score},\n"))
    assert [row["score"] for row in rows] == [3, 4, 3]
    assert statuses(rows) == ["replaced", "replaced", "ok"]
    events = read_events(tables, "q").to_pylist()
    assert [e["replaces"] for e in events] == [None, events[0]["event_id"], events[1]["event_id"]]


def test_a_row_that_is_taken_out_of_the_file_stays_an_event(rated: Rated) -> None:
    a, b, *_ = rated.images
    rated.build(rated.csv(f"{HEAD}{a},ann,3,\n{b},ann,4,\n"))
    assert statuses(rated.build(rated.csv(f"{HEAD}{b},ann,4,\n"))) == ["ok", "ok"]


def test_the_same_image_twice_is_a_repeat_unless_declared_a_correction(rated: Rated) -> None:
    text = f"{HEAD}{rated.images[0]},ann,3,\n{rated.images[0]},ann,4,\n"
    assert statuses(rated.build(rated.csv(text))) == ["ok", "ok"]
    declaration = rated.csv(text, again="correction").model_copy(update={"name": "p"})
    rated.build(declaration)
    rated.build(declaration)
    assert rated.dataset.sql("select score, status from ratings.p order by score") == [(3, "replaced"), (4, "ok")]


def test_wide_tables_parquet_and_jsonl_say_the_same(rated: Rated) -> None:
    image = rated.images[0]
    csv, parquet, lines = (rated.folder / name for name in ("w.csv", "w.parquet", "w.jsonl"))
    csv.write_text(f"image,ann,bob\n{image},4,\n")
    pq.write_table(pa.table({"image": [image], "ann": [4.0], "bob": [None]}), parquet)
    lines.write_text(json.dumps({"image": image, "ann": 4}) + "\n" + json.dumps({"image": image, "bob": None}) + "\n")
    wide = {"by": "path", "item": "image", "raters": ["ann", "bob"]}
    rows = rated.build(
        rated.declared(*({**wide, "name": f"s{n}", "file": str(p)} for n, p in enumerate((csv, parquet, lines))))
    )
    assert [(row["rater"], row["score"], row["status"]) for row in rows] == [("ann", 4, "ok")] * 3


def test_pairs_and_rankings_name_their_samples_in_order(rated: Rated) -> None:
    a, b, c, *_ = rated.images
    pairs, ranks = rated.folder / "pairs.csv", rated.folder / "ranks.csv"
    pairs.write_text(f"left,right,winner\n{a},{b},right\n{a},{c},tie\n{a},{b},{a}\n{a},{b},neither\n{a},{a},left\n")
    ranks.write_text(f"group,image,rank\ng,{a},2\ng,{b},1\ng,{c},2\n")
    rows = rated.build(
        rated.declared(
            {"name": "p", "file": str(pairs), "kind": "pair", "by": "path", "rater_name": "ann"},
            {"name": "r", "file": str(ranks), "kind": "ranking", "by": "path", "item": "image", "rater_name": "bob"},
        )
    )
    said = {(r["kind"], *r["items"], tuple(r["ranks"] or ())): r for r in rows}
    assert said["ranking", a, b, c, (2, 1, 2)]["samples"] == [rated.ids[p] for p in rated.paths[:3]]
    assert {k[3] for k in said if k[0] == "pair" and k[1:3] == (a, b)} == {(2, 1), (1, 2), ()}
    assert said["pair", a, c, (1, 1)]["status"] == "ok"
    assert "neither left, right" in said["pair", a, b, ()]["reason"]
    assert "twice" in said["pair", a, a, (1, 2)]["reason"]


def test_folders_are_classes_and_a_moved_file_is_a_correction(rated: Rated) -> None:
    folder = rated.folder / "sorted"
    for path, label in zip(rated.paths[:2], ("good", "bad"), strict=True):
        (folder / label).mkdir(parents=True)
        shutil.copyfile(path, folder / label / Path(path).name)
    declared = rated.declared(
        {"name": "s", "type": "folder", "file": str(folder), "kind": "category", "by": "id"}, categories=["good", "bad"]
    )
    assert [row["label"] for row in rated.build(declared)] == ["bad", "good"]
    shutil.move(folder / "good" / Path(rated.paths[0]).name, folder / "bad" / Path(rated.paths[0]).name)
    assert sorted((r["label"], r["status"]) for r in rated.build(declared)) == [
        ("bad", "ok"),
        ("bad", "ok"),
        ("good", "replaced"),
    ]


def test_a_class_that_is_not_declared_is_invalid(rated: Rated) -> None:
    text = f"{HEAD}{rated.images[0]},ann,godo,\n"
    (row,) = rated.build(rated.csv(text, kind="category", categories=["good", "bad"]))
    assert row["reason"] == "'godo' is not declared. Did you mean 'good'?"


def test_lenslet_stars_and_tags_by_the_rater_that_is_named(rated: Rated) -> None:
    log = rated.folder / "items.parquet.lenslet.labels.log.jsonl"
    sample = rated.ids[rated.paths[0]]
    line = {
        "type": "item-updated",
        "path": f"/{sample}.jpg",
        "updated_at": "2026-01-02T03:04:05Z",
        "updated_by": "session:c9d3a22b",
    }
    lines = [
        line | {"star": 3, "tags": [], "changed_fields": ["star"]},
        line | {"star": 3, "tags": ["keep"], "changed_fields": ["tags"]},
    ]
    log.write_text("\n".join(map(json.dumps, lines)) + '\n{"type": "item-upd')
    file = {"type": "lenslet", "file": str(log), "rater_name": "ann"}
    declared = rated.declared(
        {**file, "name": "stars"}, {**file, "name": "tags", "kind": "labels"}, scale={"low": 0, "high": 5}
    )
    rows = {row["kind"]: row for row in rated.build(declared)}
    assert (rows["score"]["value"], rows["score"]["rater"], rows["score"]["sample_id"]) == (3, "ann", sample)
    assert (rows["labels"]["labels"], rows["labels"]["session"]) == (["keep"], "c9d3a22b")
    log.write_text(log.read_text().rpartition("\n")[0] + "\n" + json.dumps(lines[0] | {"star": None}) + "\n")
    assert sorted(r["status"] for r in rated.build(declared)) == ["ok", "replaced", "skipped"]


def test_lenslet_rankings_keep_ties_and_the_last_save(rated: Rated) -> None:
    queue = rated.folder / "queue.json"
    results = rated.folder / ".lenslet" / "ranking" / "queue.results.jsonl"
    results.parent.mkdir(parents=True)
    queue.write_text(
        json.dumps([{"instance_id": "q1", "images": rated.paths[:3]}, {"instance_id": "q2", "images": rated.paths[:2]}])
    )
    saves = [
        {
            "instance_id": "q1",
            "final_ranks": [["0"], ["1"], ["2"]],
            "completed": True,
            "save_seq": 1,
            "duration_ms": 900,
        },
        {
            "instance_id": "q1",
            "final_ranks": [["2"], ["0", "1"]],
            "completed": True,
            "save_seq": 2,
            "duration_ms": 4200,
        },
        {"instance_id": "q2", "final_ranks": [["1"]], "completed": False, "missing_image_ids": ["0"]},
    ]
    results.write_text("".join(json.dumps(save) + "\n" for save in saves))
    (row,) = rated.build(
        rated.declared({"name": "r", "type": "lenslet_ranking", "file": str(results), "by": "uri", "rater_name": "ann"})
    )
    assert (row["status"], row["ranks"], row["seconds"]) == ("ok", [2, 2, 1], 4.2)


def label_studio(sample: str, stars: int, **fields: object) -> dict[str, object]:
    result = [{"from_name": "q", "to_name": "image", "type": "rating", "value": {"rating": stars}}]
    annotation = {"id": 7, "unique_id": "u7", "completed_by": {"id": 1, "email": "ann@example.org"}, "result": result}
    annotation |= {"lead_time": 2.5, "updated_at": "2026-01-02T03:04:05.1Z", "was_cancelled": False, **fields}
    return {"id": 1, "data": {"image": "http://x/1.jpg", "sample_id": sample}, "annotations": [annotation]}


def test_label_studio_exports_with_skips_and_corrections(rated: Rated) -> None:
    sample, path = rated.ids[rated.paths[0]], rated.folder / "export.json"
    declared = rated.declared({"name": "ls", "type": "label_studio", "file": str(path)})
    path.write_text(
        json.dumps([label_studio(sample, 4), {"id": 2, "data": {}, "annotations": [{"id": 8, "result": []}]}])
    )
    first, second = sorted(rated.build(declared), key=lambda row: row["status"], reverse=True)
    assert (first["score"], first["rater"], first["seconds"], first["status"]) == (4, "ann@example.org", 2.5, "ok")
    assert second["reason"] == "the task's data has no 'sample_id'; put the sample's name there when importing"
    path.write_text(json.dumps([label_studio(sample, 4, was_cancelled=True)]))
    assert sorted(row["status"] for row in rated.build(declared)) == ["invalid", "replaced", "skipped"]
    row = {
        "image": "x",
        "sample_id": sample,
        "q": [{"rating": 2}],
        "annotator": 1,
        "annotation_id": 9,
        "lead_time": 1.0,
    }
    path.write_text(json.dumps([row]))
    assert 2.0 in [r["score"] for r in rated.build(declared)]


def test_a_rating_counts_as_soon_as_its_sample_is_there(rated: Rated) -> None:
    late = rated.dataset.source / "late.jpg"
    declared = rated.csv(f"{HEAD}late.jpg,ann,4,\n")
    assert statuses(rated.build(declared)) == ["unmatched"]
    shutil.copyfile(rated.paths[0], late)
    late.write_bytes(late.read_bytes() + b"\0")  # other bytes, so another sample
    rated.dataset.run()
    assert statuses(rated.build(declared)) == ["ok"]


def test_a_rater_who_withdraws_leaves_nothing_and_does_not_come_back(rated: Rated) -> None:
    tables = rated.dataset.resources.tables
    declared = rated.csv(f"{HEAD}{rated.images[0]},ann,3,\n{rated.images[0]},bob,4,\n")
    rated.build(declared)
    build_trust(tables, declared)
    assert withdraw(tables, "q", "ann") == 1
    files = [p for p in Path(tables.root).rglob("*") if p.is_file() and "ratings" in p.parts]
    assert files
    assert not [p for p in files if b"ann" in p.read_bytes()]
    assert [row["rater"] for row in rated.build(declared)] == ["bob"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,rater\na,b\n", "has no column 'score'. Known: image, rater."),
        ("image,rater,score\na,b\n", "row 2 has more or fewer cells"),
    ],
)
def test_another_form_than_declared_is_an_error_with_the_remedy(rated: Rated, text: str, said: str) -> None:
    with pytest.raises(RatingsError, match=said):
        rated.build(rated.csv(text))


def test_declarations_that_cannot_be_meant_are_refused() -> None:
    for source, said in (
        ({"name": "a"}, "`file` is missing"),
        ({"name": "a", "file": "x.csv", "rater": "r", "rater_name": "ann"}, "give one of rater"),
        ({"name": "a", "type": "label_studio", "url": "http://user:secret@x", "project": 1}, "key_variable"),
        ({"name": "a", "file": "x.csv", "timezone": "Mars"}, "no such time zone"),
    ):
        with pytest.raises(ValueError, match=said):
            RatingsDeclaration.model_validate({"name": "q", "dataset": "d", "sources": [source]})
    with pytest.raises(ValueError, match="two sources have one name"):
        RatingsDeclaration.model_validate({"name": "q", "dataset": "d", "sources": [{**SOURCE, "file": "a.csv"}] * 2})
