"""Boundaries of shots, clips and what is known of clips: SQL over stored columns of films, which decodes nothing."""

import csv
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arot_assets.clips.cutting import cut_clips
from arot_assets.clips.target import Target
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.media.video import isolated
from arot_assets.media.video.clip_file import Settings
from arot_assets.metrics.build_files import build_files
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from arot_assets.subsets.tests import run_test
from resources.defaults import Resources, default_resources
from resources.tables import TableRef
from tests.conftest import DATA
from tests.subsets.conftest import SQL_FOLDER
from tests.subsets.content_rule import breaks, content_cuts, damage, merged

FILMS = DATA / "films"
NAMES = (
    *("cuts_hard.mp4", "cuts_jump.mp4", "flashes.mp4", "camera.mp4", "subject.mp4", "vfr_numbers.mkv", "opengop_b.mp4"),
    *("dissolves.mp4", "fades.mp4", "interlaced_unflagged.mp4", "hdr10.mp4", "dup_24in60.mp4", "slideshow.mp4"),
    *("gap.mkv", "size_changes.ts", "damaged_middle.mp4", "one_frame.mp4", "freeze.mp4"),
    *("mpeg4_b.avi", "editlist.mp4", "start_offset.ts", "ntsc_audio.mp4"),
    *("vfr_numbers.mp4", "opengop_hevc.mp4", "av1.mp4", "vp9.webm", "interlaced.ts", "truncated.ts", "rotated_90.mp4"),
    *("anamorphic.mp4", "odd_size.mkv", "pillarbox.mp4", "windowbox_subs.mp4"),
)
MODELS = {
    "boundaries": "{{ boundaries(source('films', 'frames'), source('films', 'samples')) }}",
    "clips": "{{ shots(ref('boundaries'), source('films', 'frames'), source('films', 'samples')) }}",
    "pieces": "{{ sections(ref('clips'), source('films', 'frames'), source('films', 'samples'), 1.0, 0.5) }}",
    "motion": "{{ clip_motion(ref('clips'), source('films', 'steps')) }}",
    "cadence": "{{ clip_cadence(ref('clips'), source('films', 'frames'), source('films', 'samples')) }}",
    "pictures": "{{ clip_stills(ref('clips'), source('films', 'stills')) }}",
    "texts": """(select sample_id, n, status, case when n < 24 then 'TITLE' || chr(10) || 'CHANNEL' else 'CHANNEL' end as text,
        case when n < 24 then 0.2 else 0.05 end as text_share from {{ source('films', 'stills') }})""",
    "text": "{{ clip_text(ref('clips'), ref('texts')) }}",
    "quality": "{{ clip_quality(ref('clips'), source('films', 'frames'), source('films', 'stills'), source('films', 'decoded')) }}",
    "sounds": "{{ clip_sound(ref('clips'), source('films', 'sound'), source('films', 'samples')) }}",
    "vectors": "(select *, [sin(n / 10), cos(n / 10)]::float[] as vector from {{ source('films', 'stills') }})",
    "coherent": "{{ clip_coherence(ref('clips'), ref('vectors')) }}",
    "blur": "{{ clip_aggregate(ref('clips'), source('films', 'stills'), 'blur') }}",
}
SOURCES = "sources: [{name: films, tables: [{name: samples}, {name: frames}, {name: steps}, {name: stills}, {name: sound}, {name: decoded}]}]"


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resources]:
    """The store of a dataset of films, each decoded once."""
    place = tmp_path_factory.mktemp("shots")
    source = place / "films"
    source.mkdir()
    for name in NAMES:
        shutil.copyfile(FILMS / name, source / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AROT_STORE", str(place / "store"))
        r = default_resources()
        films = VideoDataset.model_validate({"name": "films", "source": str(source), "settle_seconds": 0})
        take_inventory(r.storage, r.tables, films, datetime.now(UTC))
        build_samples(r.storage, r.tables, films, "00000")
        build_files(r.storage, r.warehouse, r.models, films, "00000", [])
        r.warehouse.refresh()
        yield r


class Built:
    """A project of the macros over the films, built."""

    def __init__(self, resources: Resources, folder: Path, models: Mapping[str, str], variables: str = "") -> None:
        files = {"dbt_project.yml": f"name: small\nprofile: small\n{variables}", "models/sources.yml": SOURCES}
        files |= {f"models/{name}.sql": f"select * from {text}" for name, text in models.items()}
        files["macros/films.sql"] = (SQL_FOLDER / "macros" / "films.sql").read_text()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        project = load_project(folder)
        assert not project.broken
        build_all(project, resources.warehouse, resources.tables)
        self.project, self._warehouse = project, resources.warehouse

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._warehouse.connect() as con:
            return con.execute(sql).fetchall()

    def boundaries(self, *kinds: str) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        query = """select parse_filename(uri), start_n, end_n, kind from main.boundaries b
            join films.samples s using (sample_id) order by all"""
        for name, start, end, kind in self.rows(query):
            if kind in kinds:
                found.setdefault(name, []).append((start, end))
        return found


@pytest.fixture(scope="module")
def built(resources: Resources, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(resources, tmp_path_factory.mktemp("project"), MODELS)


def truth(*kinds: str) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for row in csv.DictReader((FILMS / "cuts.csv").read_text().splitlines()):
        if row["file"] in NAMES and row["kind"] in kinds:
            found.setdefault(row["file"], []).append((int(row["frame"]), int(row["end_frame"])))
    return found


def test_hard_cuts_are_found_to_the_frame_and_flashes_are_none(built: Built) -> None:
    found = {(name, a) for name, spans in built.boundaries("cut", "partial", "size_change").items() for a, _ in spans}
    expected = {(name, a) for name, spans in truth("cut").items() for a, _ in spans}
    expected.discard(("damaged_middle.mp4", 80))  # the damage reaches until there
    assert len(expected) > 60
    assert len(found & expected) / len(expected) >= 0.98 and len(found & expected) / len(found) >= 0.98


CALM = """select 'f' as sample_id, n::int as n, n as pts, 'ok' as status, false as resized, false as damaged, {d_y} as d_y, 0.1 as d_u,
    0.1 as d_v, {std_y} as std_y, {mean_y} as mean_y, 10.0 as p02_y, 200.0 as p98_y, {similarity} as similarity, {similarity} as comes_back,
    {changed} as changed, {worst_block} as worst_block, 2.0 as linear_change, 1.0 as linear_residual, 0.0 as linear_corr from range(60) as r(n)"""
AT_30 = "case when n = 30 then {} else {} end"
FACTS = "(select 'f' as sample_id, 'ok' as status, '1/24' as time_base, 24.0 as median_fps, 60 as end_pts)"


@pytest.mark.parametrize(
    ("changed", "worst_block", "found"),
    [(0.2, 80, [(30, 30, "partial")]), (0.04, 80, []), (0.2, 20, [])],
    ids=["another framing", "subtitle", "refreshed picture"],
)
def test_a_jump_out_of_calm_is_a_cut_if_a_good_part_of_the_picture_changes(
    resources: Resources, tmp_path: Path, changed: float, worst_block: float, found: list[tuple[int, int, str]]
) -> None:
    jump = {"d_y": (8.0, 0.3), "similarity": (0.93, 1.0), "changed": (changed, 0.0), "worst_block": (worst_block, 2.0)}
    values = {name: AT_30.format(*pair) for name, pair in jump.items()} | {"std_y": "40.0", "mean_y": "100.0"}
    models = {
        "calm": f"({CALM.format(**values)})",
        "facts": FACTS,
        "jumps": "{{ boundaries(ref('calm'), ref('facts')) }}",
    }
    assert Built(resources, tmp_path, models).rows("select start_n, end_n, kind from main.jumps") == found


@pytest.mark.parametrize(("level", "kinds"), [(16, ["fade_black"]), (67, []), (240, ["fade_white"])])
def test_a_fade_leads_to_black_or_white_and_not_to_a_flat_picture(
    resources: Resources, tmp_path: Path, level: int, kinds: list[str]
) -> None:
    falls = "case when n < 20 then 40.0 when n < 28 then 40.0 - 5 * (n - 19) else 0.0 end"
    values = {"d_y": "1.0", "similarity": "0.99", "changed": "0.0", "worst_block": "2.0"}
    values |= {"std_y": falls, "mean_y": f"case when n < 28 then 100.0 else {level}.0 end"}
    models = {
        "fading": f"({CALM.format(**values)})",
        "facts": FACTS,
        "ends": "{{ boundaries(ref('fading'), ref('facts')) }}",
    }
    found = Built(resources, tmp_path, models).rows("select kind from main.ends")
    assert [kind for (kind,) in found] == kinds


def test_gradual_boundaries_have_their_extent_within_two_frames(built: Built) -> None:
    assert within(built.boundaries("dissolve")["dissolves.mp4"], truth("dissolve")["dissolves.mp4"])
    black = [(30, 60), (90, 139)]
    assert within(built.boundaries("fade_black")["fades.mp4"], black)
    assert within(built.boundaries("fade_white")["fades.mp4"], [(169, 192)])
    assert set(built.boundaries("dissolve", "fade_black", "fade_white")) == {"dissolves.mp4", "fades.mp4"}


def within(found: list[tuple[int, int]], expected: list[tuple[int, int]]) -> bool:
    return len(found) == len(expected) and all(
        abs(a - x) <= 2 and abs(b - y) <= 2 for (a, b), (x, y) in zip(found, expected, strict=True)
    )


def test_breaks_of_the_stream_are_boundaries(built: Built) -> None:
    assert built.boundaries("gap") == {"gap.mkv": [(48, 48)]}
    assert built.boundaries("size_change") == {"size_changes.ts": [(24, 24)]}
    assert built.boundaries("damage") == {"damaged_middle.mp4": [(62, 79)]}


def test_shots_and_boundaries_cover_each_film_without_overlap(built: Built) -> None:
    rows = built.rows("""
        select d.frames_decoded, c.frames + c.guards + coalesce(b.frames, 0) from films.decoded d
        join (select sample_id, sum(frames) as frames, sum(guard_frames) as guards from main.clips group by 1) c using (sample_id)
        left join (select sample_id, sum(end_n - start_n) as frames from main.boundaries group by 1) b using (sample_id)""")
    assert len(rows) == len(NAMES) and all(decoded == covered for decoded, covered in rows)
    overlaps = """select count(*) from main.clips a join main.clips b
        on a.sample_id = b.sample_id and a.start_n < b.start_n and b.start_n < a.end_n"""
    assert built.rows(overlaps) == [(0,)]


def held_to(folder: Path, resources: Resources, models: Mapping[str, str], tests: Mapping[str, str]) -> dict[str, int]:
    """Rows that fail one data test of each model, given in YAML."""
    listed = [f"- {{name: {name}, data_tests: [{text}]}}" for name, text in tests.items()]
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "tests.yml").write_text("models:\n" + "\n".join(listed))
    there = Built(resources, folder, {**MODELS, **models})
    with resources.warehouse.connect() as con:
        return {str(test.target): run_test(con, there.project, test).failures for test in there.project.tests}


def test_a_frame_that_no_shot_has_or_that_two_have_fails_a_test_of_the_data(
    resources: Resources, tmp_path: Path
) -> None:
    covers = """{covers_films: {arguments: {boundaries: "ref('boundaries')", frames: "source('films', 'frames')"}}}"""
    models = {
        "lost": "{{ ref('clips') }} where uri not like '%opengop_b%' or start_n > 0",
        "shorter": "(select * replace (end_n - 1 as end_n) from {{ ref('clips') }} where uri like '%cuts_hard%')",
        "longer": "(select * replace (end_n + (uri like '%cuts_jump%')::int as end_n) from {{ ref('clips') }})",
        "twice": "(from {{ ref('clips') }} union all (from {{ ref('clips') }} where frames = 1))",
    }
    found = held_to(tmp_path, resources, models, dict.fromkeys(["clips", *models], covers))
    assert found["clips"] == 0
    assert found["lost"] == 1 and found["twice"] == 1 and found["longer"] == 6 and found["shorter"] >= 13


def test_every_table_of_clips_has_a_row_for_each_clip(resources: Resources, tmp_path: Path) -> None:
    tables = ("motion", "cadence", "pictures", "text", "quality", "sounds", "coherent", "blur")
    each = """{has_each_clip: {arguments: {clips: "ref('clips')"}}}"""
    models = {
        "fewer": "{{ ref('motion') }} where steps > 0",
        "more": "(select clip_id from {{ ref('motion') }} union all select 'another')",
        "again": "(select clip_id from {{ ref('motion') }} union all (select clip_id from {{ ref('motion') }} limit 2))",
    }
    found = held_to(tmp_path, resources, models, dict.fromkeys([*tables, *models], each))
    assert {name: found[name] for name in tables} == dict.fromkeys(tables, 0)
    assert found["fewer"] >= 1 and found["more"] == 1 and found["again"] == 2


def test_clips_have_an_address_and_an_identity_of_their_own(built: Built) -> None:
    rows = built.rows("select clip_id, uri, start_pts, end_pts, seconds, status from main.clips order by uri")
    assert len({row[0] for row in rows}) == len(rows) and all(len(row[0]) == 32 for row in rows)
    assert all(uri.endswith(f"!/clip/{a}-{b}") for _, uri, a, b, _, _ in rows)
    short = built.rows("select reason, frames from main.clips where uri like '%one_frame%'")
    assert short == [("shorter than 0.5 s", 1)]
    gap = built.rows("select round(seconds, 2) from main.clips where uri like '%gap.mkv%' order by start_n")
    assert [g[0] for g in gap] == [1.33, 0.67, 0.67, 1.33]  # no clip contains the 3 s without frames
    assert built.rows("select notes from main.clips where uri like '%flashes%' and start_n = 0") == [(["flash"],)]


def test_another_threshold_is_another_query(resources: Resources, built: Built, tmp_path: Path) -> None:
    models = {
        "strict": MODELS["boundaries"],
        "strict_clips": MODELS["clips"].replace("'boundaries'", "'strict'"),
    }
    strict = Built(resources, tmp_path, models, "vars: {cut_similarity: 0.5, clip_seconds: 1.5}\n")
    jumps = "select count(*) from main.{} join films.samples using (sample_id) where uri like '%cuts_jump%'"
    assert strict.rows(jumps.format("strict")) < built.rows(jumps.format("boundaries")) == [(5,)]
    assert strict.rows("select min(seconds) >= 1.5 from main.strict_clips where status = 'ok'") == [(True,)]


def random_films(count: int, frames: int) -> list[dict[str, Any]]:
    """Rows of ``frames`` at random, about the thresholds of the rule: with nulls, damage, changes of size, jumps in time."""
    random = np.random.default_rng(11)

    def one_of(*values: Any) -> Any:
        return values[int(random.integers(len(values)))]

    rows = []
    for film in range(count):
        pts, calm = 0, film % 2 == 0
        for n in range(frames):
            pts += one_of(*[1] * 40, 20, -3, 0)
            big = random.random() < (0.1 if calm else 0.25)
            row = {"sample_id": f"film {film}", "n": n, "pts": pts, "status": "ok", "mean_y": 100.0, "std_y": 40.0}
            change = random.uniform(5, 12) if calm and big else random.uniform(0, 30 if big else 0.3 if calm else 2)
            row |= {"d_y": float(change), "d_u": float(random.uniform(0, 0.02 if calm else 2)), "d_v": 0.01}
            row |= {"similarity": float(random.uniform(0.2, 1)), "comes_back": float(random.uniform(0.2, 1))}
            row |= {"changed": float(random.uniform(0, 0.5)), "worst_block": float(random.uniform(20, 120))}
            row |= {"linear_change": None, "linear_residual": None, "linear_corr": None}
            row |= {"resized": n > 0 and random.random() < 0.02, "damaged": random.random() < 0.05}
            for name in ("d_y", "d_u", "similarity", "comes_back", "changed", "worst_block"):
                if n == 0 or random.random() < 0.03:
                    row[name] = None
            rows.append(row)
    return rows


def test_the_rule_in_sql_cuts_random_frames_as_the_rule_in_words_does(resources: Resources, tmp_path: Path) -> None:
    rows = random_films(150, 60)
    held = f"read_parquet('{tmp_path / 'frames.parquet'}')"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "frames.parquet")
    facts = f"(select distinct sample_id, 'ok' as status, '1/24' as time_base, 24.0 as median_fps, 10000 as end_pts from {held})"
    models = {
        "held": held,
        "told": facts,
        "random": "{{ boundaries(ref('held'), ref('told')) }}",
    }
    found = Built(resources, tmp_path / "project", models).rows(
        "select sample_id, start_n, end_n, kind from main.random"
    )
    expected = []
    for film in dict.fromkeys(row["sample_id"] for row in rows):
        frames = [row for row in rows if row["sample_id"] == film]
        spans = [
            (n, n, kind) for of in (content_cuts(frames), breaks(frames, 1 / 24, 1 / 24)) for n, kind in of.items()
        ]
        spans += [(start, end, "damage") for start, end in damage(frames)]
        expected += [(film, *span) for span in merged(spans)]
    assert sorted(found) == sorted(expected)
    assert {kind for *_, kind in found} == {"cut", "partial", "gap", "size_change", "damage"} and len(found) > 500


def test_the_rule_in_sql_cuts_the_films_as_the_rule_in_words_does(resources: Resources, built: Built) -> None:
    boundaries = built.rows(
        "select sample_id, start_n, end_n, kind from main.boundaries where found_by like '%content%'"
    )
    alone = {row[:2] for row in boundaries if row[1] == row[2]}
    with resources.warehouse.connect() as con:
        rows = con.sql("from films.frames where status = 'ok' order by sample_id, n").to_arrow_table().to_pylist()
    cuts = set()
    for film in {row["sample_id"] for row in rows}:
        cuts |= {(film, n) for n in content_cuts([row for row in rows if row["sample_id"] == film])}
    assert len(cuts) > 45 and alone <= cuts
    assert all(any(f == film and a <= n <= b for f, a, b, _ in boundaries) for film, n in cuts)
    assert all(any(f == film and a <= n <= b for f, n in cuts) for film, a, b, _ in boundaries)


def test_another_threshold_decodes_nothing(
    resources: Resources, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(isolated.WORKERS, "ask", lambda *job: asked.append(job) or iter(()))
    versions = {
        table: [resources.tables.footer(TableRef("films", table, "00000"))["metric_version"]]
        for table in ("frames", "steps", "stills", "decoded")
    }
    rows = [built.rows("select count(*) from main.boundaries")]
    for step in (6, 40):
        models = {f"at_{step}": MODELS["boundaries"]}
        there = Built(resources, tmp_path / str(step), models, f"vars: {{cut_step: {step}}}\n")
        rows.append(there.rows(f"select count(*) from main.at_{step}"))
    assert rows[0] == rows[1] > rows[2], "the higher the threshold, the fewer the cuts"
    films = VideoDataset.model_validate({"name": "films", "source": "x", "settle_seconds": 0})
    build_files(resources.storage, resources.warehouse, resources.models, films, "00000", [])
    assert asked == []
    for table, version in versions.items():
        assert [resources.tables.footer(TableRef("films", table, "00000"))["metric_version"]] == version


def test_motion_is_that_of_the_camera(built: Built) -> None:
    rows = built.rows("""select start_n, pan, tilt, zoom, roll, camera_kind, shake from main.motion join main.clips using (clip_id)
        where uri like '%camera.mp4%' order by start_n""")
    found = {row[0]: row[1:] for row in rows}
    assert [found[n][0] for n in (0, 36, 72)] == pytest.approx([0.25, 0.5, 1.0], rel=0.03)
    assert abs(found[132][1]) == pytest.approx(0.4, rel=0.15) and found[168][2] == pytest.approx(0.23, rel=0.15)
    assert abs(found[204][3]) == pytest.approx(0.36, rel=0.15)  # 21 of 25 degrees a second
    assert [found[n][4] for n in (0, 132, 168, 204, 240)] == ["pan", "tilt", "zoom", "roll", "handheld"]
    assert found[240][5] > 5 > 0.2 > found[36][5]
    ((camera, subject),) = (
        built.rows("""select camera_mean, subject_p95 from main.motion join main.clips using (clip_id)
        where uri like '%subject%' and start_n = 0""")
    )
    assert camera < 0.01 and subject > 0.1


def test_rhythm_counts_different_frames(built: Built) -> None:
    rows = built.rows("""select parse_filename(split_part(uri, '!', 1)), start_n, repeat_share, unique_fps, longest_still_s
        from main.cadence join main.clips using (clip_id)""")
    found = {(row[0], row[1]): row[2:] for row in rows}
    assert found["dup_24in60.mp4", 0][0] == pytest.approx(0.6, abs=0.02)
    assert found["dup_24in60.mp4", 0][1] == pytest.approx(24, abs=0.5)
    assert found["slideshow.mp4", 0][0] == 1.0
    assert found["freeze.mp4", 0][2] == pytest.approx(2.0, abs=0.1)
    assert found["freeze.mp4", 84][0] == 0
    still = """select min(static_share), max(static_share) from main.motion join main.clips using (clip_id)
        where uri like '%slideshow%'"""
    assert built.rows(still) == [(1.0, 1.0)]


def test_a_logo_lasts_and_a_title_does_not(built: Built) -> None:
    clips = built.rows("select count(*), count(distinct clip_id) from main.clips")
    assert built.rows("select count(*), count(distinct clip_id) from main.text") == clips
    longest = """select t.stills, t.longest_text, t.lasting_text, t.written_share, round(t.text_share_max::double, 2), t.text_share_mean < 0.2
        from main.text t join main.clips c using (clip_id) where c.start_n = 0 order by t.stills desc, c.uri limit 1"""
    (row,) = built.rows(longest)
    assert row[0] >= 4 and row[1:] == ("TITLE\nCHANNEL", "CHANNEL", 1.0, 0.2, True)
    assert built.rows("select count(*) from main.text where stills < 3 and lasting_text is not null") == [(0,)]


def test_quality_has_a_row_a_clip_and_says_what_is_dark_flat_or_damaged(built: Built) -> None:
    assert built.rows("select count(*) = count(distinct clip_id) from main.quality") == [(True,)]
    assert built.rows("select count(*) from main.clips anti join main.quality using (clip_id)") == [(0,)]
    bounds = """select bool_and(brightness_min <= brightness_p10 and brightness_p10 <= brightness_max
        and coalesce(blur_min <= blur_p10 and blur_p10 <= blur_mean * 3 and blockiness_mean <= blockiness_max, true)
        and black_share between 0 and 1 and white_share between 0 and 1) from main.quality"""
    assert built.rows(bounds) == [(True,)]
    # frames between the damage and the next key frame belong to no clip
    assert built.rows("select max(damaged_frames) from main.quality") == [(0,)]
    names = "select parse_filename(split_part(uri, '!', 1)) as name, q.* from main.quality q join main.clips using (clip_id)"
    ((dark, light),) = built.rows(f"select min(brightness_mean), max(brightness_mean) from ({names})")
    assert dark < 60 and light > 120


def test_sound_of_a_clip_is_that_of_its_span(built: Built) -> None:
    rows = built.rows("""select parse_filename(split_part(uri, '!', 1)) as name, has_sound, loudness, rms_db, silent_share, seconds
        from main.sounds join main.clips using (clip_id)""")
    assert len(rows) == built.rows("select count(*) from main.clips")[0][0]
    heard = [row for row in rows if row[1]]
    assert {row[0] for row in heard} == {"ntsc_audio.mp4"}
    assert all(row[2:5] == (None, None, None) for row in rows if not row[1])
    for _, _, loudness, rms, silent, seconds in heard:
        assert silent == pytest.approx(0, abs=0.05) and rms == pytest.approx(-16.5, abs=1)
        assert loudness is None if seconds < 0.4 else loudness == pytest.approx(-17.1, abs=1)


def test_coherence_is_the_least_cosine_between_neighbouring_stills(built: Built) -> None:
    rows = built.rows("""select c.stills, c.coherence, c.drift, p.gap, p.span from main.coherent c join (
        select clip_id, max(n - before) as gap, max(n) - min(n) as span from (
            select clip_id, s.n, lag(s.n) over (partition by clip_id order by s.n) as before from main.clips c
            join films.stills s on s.sample_id = c.sample_id and s.n >= c.start_n and s.n < c.end_n)
        group by clip_id) p using (clip_id)""")
    many = [row for row in rows if row[0] > 1]
    assert many and all(row[1:3] == (None, None) for row in rows if row[0] == 1)
    for _, coherence, drift, gap, span in many:  # vectors that turn by a tenth of a radian a frame
        assert drift == pytest.approx(np.cos(span / 10), abs=1e-4)
        assert gap > 31 or coherence == pytest.approx(np.cos(gap / 10), abs=1e-4)


CAPTIONS = """select * from (values
    ('a', 'ok', 'The camera pans slowly to the right.'), ('b', 'ok', 'Camera pans left'), ('c', 'ok', 'A static shot on a tripod'),
    ('d', 'ok', 'a beautiful scene'), ('e', 'ok', 'slow zoom in'), ('f', 'failed', 'pans'), ('g', 'ok', 'Handheld, tilting upwards')
) as t(sample_id, status, camera)"""
CUT = "select chr(97 + k::int) as sample_id, 'clip ' || k as clip_id, 'ok' as status from range(7) as r(k)"
MOTIONS = """select 'clip ' || k as clip_id, ['pan', 'pan', 'still', 'pan', 'zoom', 'pan', 'tilt'][k + 1] as camera_kind,
    0.2 as pan, 0.3 as tilt from range(7) as r(k)"""


def test_words_about_the_camera_are_held_to_its_motion(resources: Resources, tmp_path: Path) -> None:
    words = "{{ clip_camera_words(ref('captions'), 'camera', ref('cut'), ref('motions')) }}"
    queries = {"captions": f"({CAPTIONS})", "cut": f"({CUT})", "motions": f"({MOTIONS})", "words": words}
    found = Built(resources, tmp_path, queries).rows("select sample_id, said, agrees from main.words order by 1")
    assert found == [
        ("a", ["pan"], True),
        ("b", ["pan"], False),  # it moves to the right
        ("c", ["still"], True),
        ("d", [], None),
        ("e", ["zoom"], True),
        ("g", ["tilt", "handheld"], True),
    ]


def test_pieces_of_a_fixed_length_stay_inside_shots(built: Built) -> None:
    rows = built.rows("""select p.seconds, p.start_n >= c.start_n and p.end_n <= c.end_n from main.pieces p
        join main.clips c on c.sample_id = p.sample_id and p.start_n between c.start_n and c.end_n - 1""")
    assert len(rows) > 50 and all(inside for _, inside in rows)
    assert all(seconds == pytest.approx(1, abs=0.09) for seconds, _ in rows)
    assert built.rows("select count(distinct clip_id) = count(*) from main.pieces") == [(True,)]


def test_every_clip_of_half_a_second_has_a_still(built: Built) -> None:
    missing = """select count(*) from main.clips anti join main.pictures using (clip_id)
        where status = 'ok' and seconds > 0.55"""
    assert built.rows(missing) == [(0,)]
    assert built.rows("select bool_and(len(fingerprint) = stills and blur_min <= blur_mean) from main.pictures") == [
        (True,)
    ]
    slides = (
        "select max(largest_change) from main.pictures join main.clips using (clip_id) where uri like '%slideshow%'"
    )
    assert built.rows(slides) == [(0,)]  # nothing changes between the cuts
    assert built.rows("select bool_and(blur_min <= blur_p10 and blur_p10 <= blur_max) from main.blur") == [(True,)]


def test_clips_are_cut_once_and_proved(resources: Resources, built: Built, tmp_path: Path) -> None:
    clips = MODELS["clips"].replace("ref('boundaries')", "ref('bounds')")
    models = {"bounds": MODELS["boundaries"], "some_clips": f"{clips} where uri like '%opengop_b%' or frames = 1"}
    few = Built(resources, tmp_path / "project", models)
    assert few.rows("select count(*) from main.some_clips") == [(4,)]
    target = str(tmp_path / "clips")
    there = Target(target, f"{target}/clips.parquet")
    table = cut_clips(resources, "some_clips", "films", there, Settings())
    assert table["status"].to_pylist() == ["ok"] * 3 and sum(table["frames_written"].to_pylist()) == 120
    files = {path.name: path.stat().st_mtime_ns for path in Path(target).glob("*.mp4")}
    assert {f"{clip}.mp4" for clip in table["clip_id"].to_pylist()} == set(files)
    assert cut_clips(resources, "some_clips", "films", there, Settings()).equals(table)
    assert {path.name: path.stat().st_mtime_ns for path in Path(target).glob("*.mp4")} == files
