"""Clips of films are files, and the samples of a dataset of their own; only what changed is cut."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.clips.dataset import cut_dataset
from arot_assets.declarations import Clips
from arot_assets.declarations.kinds import kind_of
from arot_assets.errors import ProjectError
from arot_assets.media.video import isolated
from arot_assets.steps import Look
from arot_assets.takedown import TakedownScope, forget
from resources.dagster import dagster_resources
from resources.storage import StorageError
from resources.tables import ModelRef
from resources.warehouse import Connection
from tests.clips.conftest import CLIPS, ClipsOfFilms


def test_a_clip_is_a_sample_that_knows_its_film(of_films: ClipsOfFilms) -> None:
    cut = of_films.cut()
    of_films.take(of_films.clips)
    assert len(cut) == CLIPS and {row["status"] for row in cut} == {"ok"}
    joined = of_films.rows("""select c.clip_id, s.frames_expected = c.frames_written, c.frames_written = m.frames, f.status
        from clips.samples s join clips.cut c using (sample_id) join main.shots_of_films m using (clip_id)
        join films.samples f on f.sample_id = c.film where s.status = 'ok'""")
    assert sorted(row[0] for row in joined) == sorted(row["clip_id"] for row in cut)
    assert {row[1:] for row in joined} == {(True, True, "ok")}
    assert of_films.rows("select count(distinct sample_id) from clips.phash where status = 'ok'") == [(CLIPS,)]
    assert of_films.rows("select count(*) from clips.wide") == [(CLIPS,)]


def test_a_changed_threshold_cuts_only_new_spans_and_others_go(of_films: ClipsOfFilms) -> None:
    before = {row["clip_id"]: row for row in of_films.cut()}
    files = of_films.files()
    of_films.build(variables="vars: {cut_similarity: 0.5}\n")  # jump cuts are none
    after = {row["clip_id"]: row for row in of_films.cut()}
    assert len(after) < len(before) and after.keys() - before.keys() and after.keys() & before.keys()
    written = of_films.files()
    assert written.keys() == {f"{clip}.mp4" for clip in after}
    assert all(written[f"{clip}.mp4"] == files[f"{clip}.mp4"] for clip in after.keys() & before.keys())
    assert all(after[clip] == before[clip] for clip in after.keys() & before.keys())


def test_cutting_that_is_stopped_ends_in_the_same_table(
    of_films: ClipsOfFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = isolated.cut, itertools.count()
    other_is_there = threading.Event()
    monkeypatch.setenv("AROT_THREADS", "2")

    def stopped(*arguments: object) -> Iterator[object]:
        if next(begun) == 0:
            assert other_is_there.wait(300)
            raise KeyboardInterrupt
        yield from real(*arguments)  # type: ignore[arg-type]
        other_is_there.set()

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(isolated, "cut", stopped)
        cut_dataset(of_films.resources, of_films.clips)
    stopped_after = of_films.files()
    rows = of_films.cut()
    assert stopped_after and len(rows) == CLIPS and of_films.files().items() >= stopped_after.items()
    for name in of_films.files():
        of_films.resources.storage.delete(f"{of_films.clips.source}/{name}")
    assert of_films.cut() == rows  # the same bytes, too


def test_a_film_that_cannot_be_read_fails_its_clips_and_no_others(
    of_films: ClipsOfFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = isolated.cut

    def broken(path: object, *arguments: object) -> object:
        if "jump" in str(path):
            raise StorageError("decoder crashed: signal 11")
        return real(path, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(isolated, "cut", broken)
        rows = of_films.cut()
    assert {row["reason"] for row in rows if row["status"] == "failed"} == {"decoder crashed: signal 11"}
    assert len(rows) == CLIPS and any(row["status"] == "ok" for row in rows)

    def unreachable(path: object, *arguments: object) -> object:
        raise StorageError("no server listens", kind=StorageError.UNREACHABLE)

    with monkeypatch.context() as patch:
        patch.setattr(isolated, "cut", unreachable)
        with pytest.raises(StorageError, match="no server listens"):  # no row says so
            of_films.cut()
    assert {row["status"] for row in of_films.cut()} == {"ok"}  # what failed is tried again


def test_a_clip_that_is_taken_down_leaves_the_store_and_is_not_cut_again(
    of_films: ClipsOfFilms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    before = of_films.cut()
    victim = before[0]
    forget(of_films.resources, TakedownScope({victim["sample_id"]: []}, frozenset()), "asked for")
    assert victim["file"] not in of_films.files() and len(of_films.files()) == CLIPS - 1
    after = {row["clip_id"]: row for row in of_films.cut()}
    assert (after[victim["clip_id"]]["status"], after[victim["clip_id"]]["reason"]) == ("failed", "taken down")
    smaller = of_films.clips.model_copy(update={"size": "96x64"})
    again = {row["clip_id"]: row["reason"] for row in cut_dataset(of_films.resources, smaller).to_pylist()}
    assert again[victim["clip_id"]] == "taken down", "its frames stay out in another size too"
    assert [reason for clip, reason in again.items() if clip != victim["clip_id"]] == [None] * (CLIPS - 1)
    forget(of_films.resources, TakedownScope({victim["film"]: []}, frozenset()), "asked for")
    assert of_films.files().keys() == {row["file"] for row in before if row["film"] != victim["film"]}


def test_a_model_without_clips_or_without_their_spans_is_told(of_films: ClipsOfFilms) -> None:
    tables, model = of_films.resources.tables, ModelRef("shots_of_films")
    shots = tables.read(model)
    tables.write(shots.slice(0, 0), model)
    with pytest.raises(ProjectError, match="has no clip; loosen"):
        of_films.cut()
    tables.write(shots.drop(["clip_id"]), model)
    with pytest.raises(ProjectError, match="has no column clip_id"):
        of_films.cut()


def test_a_server_that_does_not_answer_is_no_model_that_is_missing(
    of_films: ClipsOfFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageError("no server listens", kind=StorageError.UNREACHABLE)

    monkeypatch.setattr(Connection, "execute", away)
    with pytest.raises(StorageError, match=r"^no server listens$"):
        of_films.cut()


def test_dagster_cuts_checks_and_takes_the_inventory(of_films: ClipsOfFilms) -> None:
    definitions = kind_of(Clips).definitions(of_films.clips)
    assets = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    keys = [dg.AssetKey(["clips", name]) for name in ("cut", "inventory")]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            assets,  # type: ignore[arg-type]
            instance=instance,
            resources=dagster_resources(of_films.resources),
            selection=dg.AssetSelection.assets(*keys) | dg.AssetSelection.checks_for_assets(keys[0]),
        )
        assert done.success and [e.passed for e in done.get_asset_check_evaluations()] == [True]
        assert instance.get_dynamic_partitions("clips_shards") == ["00000"]
    steps = {key: step for step in kind_of(Clips).steps(of_films.clips) for key in step.keys}
    with Look(of_films.resources, sources=True) as look:
        assert look.of(steps["clips", "cut"]).current and look.of(steps["clips", "inventory"]).current
    tables, model = of_films.resources.tables, ModelRef("shots_of_films")
    tables.write(tables.read(model).slice(1), model)
    with Look(of_films.resources) as look:
        assert not look.of(steps["clips", "cut"]).current
    specs = {tuple(s.key.path) for a in definitions.assets or () for s in a.specs}  # type: ignore[union-attr]
    assert specs == set(steps)


def test_settings_that_make_no_file_are_told() -> None:
    def declared(**values: object) -> Clips:
        return Clips.model_validate({"name": "clips", "model": "shots", "films": "films", **values})

    for values, text in (
        ({"fps": "0"}, "frames per second"),
        ({"size": "767x512"}, "two even numbers"),
        ({"source": "x"}, "leave it out"),
    ):
        with pytest.raises(ValueError, match=text):
            declared(**values)
    assert declared(fps=24, size="768x512", frames=121, frames_step=8).cutting.settings.width == 768
