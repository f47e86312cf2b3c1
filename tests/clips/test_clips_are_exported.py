"""A subset of clips as files that trainers of video load: every clip with its caption, N of N."""

import tomllib
from pathlib import Path

from arot_assets.exports.build import export
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.verify import verify
from tests.clips.conftest import ClipsOfFilms

SUBSET = """{{ config(tags=['subset']) }}
select s.sample_id, 'clip of ' || c.frames_written || ' frames' as caption
from {{ source('clips', 'samples') }} s join {{ source('clips', 'cut') }} c using (sample_id)
where s.status = 'ok' and c.status = 'ok' and c.frames_written >= 17
"""


def test_clips_are_exported_as_pairs_with_configurations(of_films: ClipsOfFilms) -> None:
    cutting = {"fps": 24, "size": "128x96", "frames": 17, "frames_step": 8, "metrics": []}
    of_films.declare(**cutting)
    of_films.cut()
    of_films.take(of_films.clips)
    project = of_films.build({"chosen": SUBSET})
    declaration = ExportDeclaration.model_validate(
        {"name": "train", "subset": "chosen", "video_size": [128, 96], "frames": [17], "fps": 24}
    )
    done = export(declaration, project, of_films.resources)
    folder = Path(done.receipt.place)
    clips = sorted(folder.rglob("*.mp4"))
    ((chosen,),) = of_films.rows("select count(*) from main.chosen")
    assert len(clips) == chosen == done.receipt.samples > 3
    assert all("frames" in clip.with_suffix(".txt").read_text() for clip in clips)
    assert verify(declaration, of_films.resources.tables, of_films.resources.storage).whole
    configs = {path.name for path in (folder / "configs").iterdir()}
    assert {"musubi.toml", "diffusion_pipe.toml"} <= configs
    pipe = tomllib.loads((folder / "configs" / "diffusion_pipe.toml").read_text())
    assert set(pipe["frame_buckets"]) >= {17}
