"""Clips in which somebody speaks, as a user finds them: a new project, `metrics: [voice]`, three SQL models and a query."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from arot_assets.project import init_project
from tests.conftest import REPOSITORY
from tests.end_to_end.conftest import Project
from tests.metrics.test_voice_of_films import film
from tests.models.test_voice_family import voice_models

LAUNCH = REPOSITORY / "examples" / "films" / "oa4_launch.webm"
"""Two shots of a rocket, with the voice of who reports its launch."""
MODELS = {
    "sources.yml": "sources: [{name: talks, database: catalog, tables: [{name: samples}, {name: frames}, {name: voice}]}]",
    "talk_boundaries.sql": "select * from {{ boundaries(source('talks', 'frames'), source('talks', 'samples')) }}",
    "talk_clips.sql": "select * from {{ shots(ref('talk_boundaries'), source('talks', 'frames'), source('talks', 'samples')) }}",
    "talk_voice.sql": "select * from {{ clip_voice(ref('talk_clips'), source('talks', 'voice'), source('talks', 'samples')) }}",
    "schema.yml": """
models:
  - name: talk_voice
    columns:
      - {name: clip_id, data_tests: [not_null, unique]}
      - name: speech_share
        data_tests: [{accepted_range: {arguments: {min_value: 0, max_value: 1}}}]
    data_tests:
      - has_each_clip: {arguments: {clips: "ref('talk_clips')"}}
""",
}


class Fresh(Project):
    """What `arot init` makes, and no more."""

    def lay_out(self) -> None:
        init_project(self.root)


@pytest.mark.slow
def test_clips_with_speech_are_found_in_a_new_project(tmp_path: Path) -> None:
    models = voice_models()
    project, source = Fresh(tmp_path / "talk"), tmp_path / "films"
    source.mkdir()
    shutil.copyfile(LAUNCH, source / LAUNCH.name)
    film(source / "mute.mp4")
    place = {"AROT_MODELS": str(models.files.root)}
    project.arot("new", "video-dataset", "talks", str(source), "--metrics", "voice")
    folder = project.root / "dbt_like_sql" / "models" / "talks"
    folder.mkdir(parents=True)
    for name, text in MODELS.items():
        (folder / name).write_text(text)
    said = project.arot("run", "talks", AROT_MODELS=str(tmp_path / "empty"))
    assert "talks/voice waits for the weights of voice (`arot models fetch voice`)" in said, said
    assert "models: talk_boundaries, talk_clips" in said
    said = project.arot("run", "talks", **place)
    assert "frames heard for voice" in said and "frames decoded" not in said, "the sound alone is left"
    assert "models/talk_voice" in said and "range" not in said, said

    spoken = """select parse_filename(s.uri), c.start_n, v.speech_seconds, v.speech_cut from main.talk_voice v
        join main.talk_clips c using (clip_id) join talks.samples s using (sample_id) where v.speech_seconds >= {} order by 2"""
    first, second = project.sql(spoken.format(0.5))
    assert first == (LAUNCH.name, 0, pytest.approx(1.67, abs=0.05), True)
    assert second == (LAUNCH.name, 74, pytest.approx(0.85, abs=0.05), True)
    assert project.sql(spoken.format(1)) == [first] and project.sql(spoken.format(2)) == []
    silent = """select distinct parse_filename(s.uri), v.speech_seconds from main.talk_voice v join main.talk_clips c using (clip_id)
        join talks.samples s using (sample_id) where coalesce(v.speech_seconds, 0) = 0"""
    assert project.sql(silent) == [("mute.mp4", None)]

    passed, report = recorded(project)
    assert passed == {
        "talks/voice": {"conservation": True, "values_in_range": True},
        "models/talk_voice": dict.fromkeys(
            ["has_each_clip", "unique_clip_id", "not_null_clip_id", "accepted_range_speech_share"], True
        ),
    }
    assert "| cpu | onnxruntime | float32 |" in report
    assert "1 of 1" in project.arot("status", "talks", **place)


def recorded(project: Project) -> tuple[dict[str, dict[str, bool]], Any]:
    """The checks of the tables of speech, as Dagster's record of the run has them, and what it says of the model."""
    found: dict[str, dict[str, bool]] = {"talks/voice": {}, "models/talk_voice": {}}
    with dg.DagsterInstance.from_config(str(project.root / ".arot" / "dagster")) as instance:
        for run in instance.get_runs():
            kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
            for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
                event = record.event_log_entry.dagster_event
                assert event is not None
                check = event.asset_check_evaluation_data
                name = check.asset_key.to_user_string()
                if name in found:
                    found[name][check.check_name] = check.passed
        made = [instance.get_latest_materialization_event(dg.AssetKey(name.split("/"))) for name in found]
    assert all(one is not None and one.asset_materialization is not None for one in made)
    return found, made[0].asset_materialization.metadata["model run"].value  # type: ignore[union-attr]
