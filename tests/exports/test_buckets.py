"""Each trainer's own answers, 960 of them."""

import csv

import pytest

from arot_assets.exports.buckets.ai_toolkit import AiToolkit
from arot_assets.exports.buckets.bucket import Bucket, Rule, Size
from arot_assets.exports.buckets.diffusers import Diffusers
from arot_assets.exports.buckets.diffusion_pipe import DiffusionPipe
from arot_assets.exports.buckets.ltx import Ltx
from arot_assets.exports.buckets.musubi import Musubi
from arot_assets.exports.buckets.onetrainer import OneTrainer
from arot_assets.exports.buckets.plan import LEFT_OUT, Batch, compare_resolutions, plan_buckets
from arot_assets.exports.buckets.sd_scripts import SdScripts
from arot_assets.exports.buckets.simpletuner import SimpleTuner
from arot_assets.exports.pages import resolution_page
from tests.conftest import DATA

RULES: dict[str, Rule] = {
    "resolution=1024x1024 min=256 max=2048 step=64": SdScripts(),
    "resolution=1024x1024 min=256 max=1024 step=64": SdScripts(largest=1024),
    "resolution=1024x1024 step=64 no_upscale": SdScripts(no_upscale=True),
    "resolution=768x512 step=16": Musubi(768, 512),
    "resolution=1024x1024 step=16 no_upscale": Musubi(1024, 1024, no_upscale=True),
    "resolutions=[512,768] min_ar=0.5 max_ar=2.0 num_ar_buckets=7 outer=16 inner=16": DiffusionPipe((512, 768)),
    "resolutions=[512] min_ar=0.5 max_ar=2.0 num_ar_buckets=7 frame_buckets=[1,33,65] outer=32 inner=32": DiffusionPipe(
        (512,), frame_buckets=(1, 33, 65), outer=32, inner=32
    ),
    "resolution=1024 step=32": AiToolkit(1024, 32),
    "resolution=1024 quantization=64": OneTrainer(1024, 64),
    "buckets=960x544x49;544x960x49;512x512x97": Ltx(((960, 544, 49), (544, 960, 49), (512, 512, 97))),
    "use_aspect_ratio_buckets resolution=1024 step=16": Diffusers(1024),
}


def answers() -> dict[str, list[tuple[Size, str]]]:
    """Parameters -> sizes with the trainer's answer."""
    found: dict[str, list[tuple[Size, str]]] = {}
    with (DATA / "buckets.csv").open() as file:
        for row in csv.DictReader(file):
            size = Size(int(row["width"]), int(row["height"]), int(row["frames"]))
            found.setdefault(row["parameters"], []).append((size, row["bucket"]))
    return found


def spelled(parameters: str, buckets: tuple[Bucket, ...]) -> str:
    """Buckets in the words of the trainer's answers."""
    if "min=" in parameters or "step=64 no_upscale" in parameters:
        (one,) = buckets
        return f"{one.width}x{one.height} scaled {one.scaled_width}x{one.scaled_height}"
    frames = "frame" in parameters or "resolutions" in parameters or parameters.startswith("buckets")
    shown = (f"{b.width}x{b.height}" + (f"x{b.frames}" if frames else "") for b in buckets)
    return ";".join(shown) or "dropped"


@pytest.mark.parametrize("parameters", RULES)
def test_buckets_are_those_of_the_trainer(parameters: str) -> None:
    cases = answers()[parameters]
    assert len(cases) >= 60
    assert [(s, spelled(parameters, RULES[parameters](s))) for s, _ in cases] == cases


def test_the_first_picture_of_an_aspect_fixes_simpletuners_size() -> None:
    (cases,) = (c for p, c in answers().items() if "first of its aspect" in p)
    for size, answer in cases:
        key, width, height = SimpleTuner(1024, 64).bucket(size)
        assert f"{width}x{height} key {key}" == answer
    rule = SimpleTuner(1024, 64)
    first, *_ = rule(Size(3000, 1000))
    second, *_ = rule(Size(3010, 1000))
    assert (first.width, first.height) == (second.width, second.height)


EXACT = [(1024, 1024), (1152, 896), (1344, 768), (1472, 704), (1600, 640)]


@pytest.mark.parametrize("width, height", [*EXACT, *((h, w) for w, h in EXACT)])
def test_exact_sizes_are_left_alone_by_every_trainer(width: int, height: int) -> None:
    ratios = tuple(w / h for one in EXACT for w, h in (one, one[::-1]))
    rules: list[Rule] = [
        SdScripts(), SdScripts(no_upscale=True), Musubi(no_upscale=True), AiToolkit(1024, 16), AiToolkit(1024, 32),
        OneTrainer(), SimpleTuner(), DiffusionPipe((1016,), ar_buckets=ratios),
        Diffusers(buckets=tuple(s for one in EXACT for s in (one, one[::-1]))),
    ]  # fmt: skip
    for rule in rules:
        (bucket,) = rule(Size(width, height))
        assert (bucket.width, bucket.height, bucket.crop, bucket.scale(Size(width, height))) == (width, height, 0, 1), (
            rule
        )


def test_what_is_left_over_depends_on_the_trainers_habit() -> None:
    sizes = [Size(1024, 1024)] * 10 + [Size(1920, 1080)] * 3
    left = {r: plan_buckets(sizes, SdScripts(), Batch(2, 2, 1, r)).left_over for r in ("kept", "dropped", "refused")}
    assert left == {"kept": 0, "dropped": 2 + 3, "refused": 3}


def test_columns_say_crop_scale_and_what_is_left_out() -> None:
    plan = plan_buckets(
        [Size(512, 512, 100), Size(512, 512, 24)], DiffusionPipe((512,), frame_buckets=(33, 65)), Batch()
    )
    assert plan.columns["frames"].to_pylist() == [65, None]
    assert plan.columns["problem"].to_pylist() == [None, LEFT_OUT] and plan.left_out == 1
    (row,) = plan_buckets([Size(300, 200)], SdScripts(), Batch()).columns.to_pylist()
    assert row["scale"] > 4 and 0 < row["crop"] < 0.1


def test_the_suggested_resolution_neither_throws_pixels_away_nor_invents_them() -> None:
    rows = compare_resolutions([Size(1024, 1024)] * 3, lambda r: OneTrainer(r), Batch())
    assert [r["resolution"] for r in rows if r["best"]] == [1024]
    assert {r["resolution"]: r["lost"] > 0 for r in rows}[512] and {r["resolution"]: r["invented"] > 0 for r in rows}[
        1536
    ]
    (best,) = (line for line in resolution_page(rows).splitlines() if "best" in line)
    assert [cell.strip() for cell in best.split("|")][1:5] == ["1,024", "1", "0.0%", "0.0%"]
