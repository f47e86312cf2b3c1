"""Hands and people with named points: anchors, squares, rows; and MediaPipe's own answers with the weights that its package ships.

``tests/data/landmarks/mediapipe.json`` holds what MediaPipe 0.10.21 said of some images; ``bench/landmarks.py`` wrote it.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import resources.models.families.landmarks as family
from resources.models import Models
from resources.models.anchored import Detection, anchors, detections
from resources.models.entries import find_entry
from resources.models.entry import ModelError
from resources.models.network import Placement
from resources.models.output_values import values_of
from resources.models.outputs import Landmarks
from resources.models.squares import Square, along, around, cut_out
from tests.conftest import REPOSITORY, Dataset
from tests.models.test_shipped_weights import _load as loaded
from tests.models.test_shipped_weights import predict

ANSWERS: dict[str, Any] = json.loads((REPOSITORY / "tests" / "data" / "landmarks" / "mediapipe.json").read_text())
SHOWN = [path for path in ANSWERS if path != "made"]
SYLVIE = REPOSITORY / "examples" / "images" / "anime" / "character" / "sylvie_green_normal.png"
NAMES = ("hands", "pose_landmarks")
CLOSE = {"hands": 0.001, "pose_landmarks": 0.005}
"""Shares of the image, and probabilities: hidden joints are less certain than fingers."""
Pixels = NDArray[np.uint8]


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_detector_has_an_anchor_for_each_of_its_outputs() -> None:
    palms, people = anchors(192, (8, 16, 16, 16)), anchors(224, (8, 16, 32, 32, 32))
    assert (len(palms), len(people)) == (2016, 2254)
    assert palms[0].tolist() == [0.5 / 24, 0.5 / 24] and palms[2].tolist() == [1.5 / 24, 0.5 / 24]
    assert (palms[1152:1158] == 0.5 / 12).all(), "layers of one stride share their cells"


def test_boxes_that_overlap_become_their_mean_by_score() -> None:
    def number(x: float, width: float) -> list[float]:
        return [x, 50, width, 20, x, 40]

    raw = np.array([number(20, 20), number(22, 20), number(80, 20), number(80, -5), number(60, 20)], np.float32)
    odds = np.array([0.9, 0.6, 0.7, 0.99, 0.4])
    found = detections(raw, np.log(odds / (1 - odds)).astype(np.float32), np.zeros((5, 2)), 100, 0.5, 0.3)
    assert [one.score for one in found] == pytest.approx([0.9, 0.7])
    x = (0.9 * 0.20 + 0.6 * 0.22) / 1.5
    assert found[0].box == pytest.approx((x - 0.1, 0.4, x + 0.1, 0.6))
    np.testing.assert_allclose(found[0].points, [[x, 0.4]], atol=1e-6)


@given(st.floats(0, 300), st.floats(0, 300), st.floats(0, 2 * math.pi), st.floats(1, 100))
def test_what_points_anywhere_points_upwards_in_its_square(x: float, y: float, angle: float, length: float) -> None:
    end = (x + length * math.cos(angle), y + length * math.sin(angle))
    square = along((x, y), end, (x, y), (length, length), 0.0, 2.0)
    found = square.on_image(np.array([[0.5, 0.5], [0.5, 0.0]]))
    np.testing.assert_allclose(found, [(x, y), end], atol=1e-6)
    assert square.side == pytest.approx(2 * length)
    shifted = along((x, y), end, (x, y), (length, length), -0.5, 2.0)
    middle = shifted.on_image(np.array([[0.5, 0.5]]))[0]
    np.testing.assert_allclose(middle, [(x + end[0]) / 2, (y + end[1]) / 2], atol=1e-6)


def test_a_square_of_an_image_is_cut_out_pixel_by_pixel_and_a_quarter_turn_is_one() -> None:
    rgb = noise(40, 40)
    np.testing.assert_array_equal(cut_out(rgb, around(40, 40), 40, "black"), rgb)
    turned = cut_out(rgb, Square(20, 20, 40, math.pi / 2), 40, "edge")
    np.testing.assert_array_equal(turned[1:], np.rot90(rgb)[:-1])


@pytest.mark.parametrize(("beside", "level"), [("black", 0), ("edge", 200)])
def test_outside_of_an_image_is_black_or_like_its_edge(beside: Any, level: int) -> None:
    found = cut_out(np.full((4, 40, 3), 200, np.uint8), around(4, 40), 20, beside)
    assert (found[:8] == level).all() and (found[11:] == level).all() and (found[9:10] == 200).all()


def test_of_two_squares_on_one_hand_that_of_the_less_certain_detection_is_looked_into() -> None:
    """So does MediaPipe, which takes the later one for the newer; hands that touch stay two."""

    def palm(score: float, left: float) -> Detection:
        box = (left, 0.4, left + 0.1, 0.5)
        return Detection(score, box, np.array([[left + 0.05, 0.5], [0, 0], [left + 0.05, 0.4]]))

    region = family._options(find_entry("hands")).region
    three = [palm(0.9, 0.1), palm(0.8, 0.5), palm(0.6, 0.13)]
    kept = family._squares(three, around(100, 100), region)
    assert [(round(s.x), round(s.side)) for s in kept] == [(55, 26), (18, 26)]
    assert len(family._squares(three, around(100, 100), replace(region, overlap=1.0))) == 3
    nowhere = Detection(0.9, (0.5, 0.5, 0.5, 0.5), np.full((3, 2), 0.5))
    assert family._squares([nowhere], around(100, 100), region) == []


def row(index: int, box: tuple[float, float, float, float], values: list[float]) -> tuple[float, ...]:
    return (index, 0.75, 0.875, *box, *values)


def test_a_row_says_what_each_thing_is_where_its_points_are_and_what_they_cover_together() -> None:
    output = Landmarks("landmarks", ("wrist", "tip"), "hands", "hands", classes=("right", "left"))
    first = row(0, (0.0, 0.0, 0.5, 0.5), [0.0, 0.5, 0.0, 0.5, 0.0, -0.25])
    second = row(1, (0.25, 0.25, 0.5, 0.5), [0.25, 0.25, 0.0, 0.75, 0.75, 0.5])
    some, none = values_of(output, {"landmarks": [[first, second], []]})
    assert none == {"hands": [], "hands_count": 0, "hands_share": 0}
    assert some["hands_count"] == 2 and some["hands_share"] == pytest.approx(7 / 16), "what overlaps counts once"
    assert some["hands"][0] == {
        **{"label": "right", "label_score": 0.75, "score": 0.875},
        **{"left": 0.0, "top": 0.0, "width": 0.5, "height": 0.5, "area": 0.25},
        "landmarks": [
            {"label": "wrist", "x": 0.0, "y": 0.5, "z": 0.0},
            {"label": "tip", "x": 0.5, "y": 0.0, "z": -0.25},
        ],
    }
    assert some["hands"][1]["label"] == "left"
    plain = Landmarks("landmarks", ("nose",), "a person", "person", visibility=True)
    (one,) = values_of(plain, {"landmarks": [[row(0, (0, 0, 0, 0), [0.5, 0.25, 0.0, 0.625])]]})[0]["person"]
    assert "label" not in one
    assert one["landmarks"] == [{"label": "nose", "x": 0.5, "y": 0.25, "z": 0.0, "visibility": 0.625}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: o | {"mostly": 2}, r"options.mostly: "),
        (lambda o: o | {"region": o["region"] | {"around": "palm"}}, r"options.region.around: .*'box' or 'circle'"),
        (
            lambda o: o | {"detector": o["detector"] | {"file": "x.tflite"}},
            r"name 'x.tflite', which is none of the files",
        ),
    ],
)
def test_an_option_that_is_wrong_is_named(
    change: Callable[[dict[str, Any]], dict[str, Any]], said: str, tmp_path: Path
) -> None:
    entry = find_entry("hands")
    with pytest.raises(ModelError, match=f"model 'hands': .*{said}"):
        family.load(
            replace(entry, options=change(dict(entry.options))), tmp_path, Placement("cpu", "float32", "litert", 1)
        )


def test_mediapipe_is_only_needed_to_be_compared_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(
        ModelError, match=r"model 'hands' is compared with MediaPipe: `pip install --no-deps mediapipe=="
    ):
        family.reference(find_entry("hands"), tmp_path)
    with pytest.raises(ModelError, match=r"no graph to compare 'own/hands' with; `id` is one of mediapipe/hands"):
        family.reference(replace(find_entry("hands"), id="own/hands"), tmp_path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models with a cache of their own."""
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    return Models(device="cpu", cache=str(tmp_path_factory.mktemp("models")))


def found(models: Models, name: str, images: list[Pixels]) -> list[list[tuple[float, ...]]]:
    return list(predict(models, name, images)["landmarks"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shown", SHOWN)
def test_hands_and_people_are_where_mediapipe_says(name: str, shown: str, models: Models) -> None:
    (ours,), theirs = found(models, name, [loaded(REPOSITORY / shown)]), ANSWERS[shown][name]
    assert len(ours) == len(theirs)
    for one, other in zip(sorted(ours), sorted(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=CLOSE[name])
        assert one[0] == other[0]


def test_a_right_hand_is_called_one(models: Models) -> None:
    """On her book lies her left hand. MediaPipe says "Right": it takes pictures for mirrored."""
    image = loaded(SYLVIE)
    (output,) = find_entry("hands").outputs
    (hand,) = values_of(output, {"landmarks": found(models, "hands", [image])})[0]["hands"]
    (mirrored,) = values_of(output, {"landmarks": found(models, "hands", [image[:, ::-1].copy()])})[0]["hands"]
    assert (hand["label"], mirrored["label"]) == ("left", "right")
    assert hand["left"] + hand["width"] == pytest.approx(1 - mirrored["left"], abs=0.02)
    (person,) = values_of(
        find_entry("pose_landmarks").outputs[0], {"landmarks": found(models, "pose_landmarks", [image])}
    )[0]["person"]
    wrists = {p["label"]: (p["x"], p["y"]) for p in person["landmarks"]}
    wrist = (hand["landmarks"][0]["x"], hand["landmarks"][0]["y"])
    assert math.dist(wrist, wrists["left_wrist"]) < math.dist(wrist, wrists["right_wrist"])


@pytest.mark.parametrize("name", NAMES)
def test_batch_order_and_form_of_an_image_do_not_matter(name: str, models: Models) -> None:
    image = loaded(SYLVIE)
    gray = np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    strange = [noise(1, 4000), noise(4000, 1), np.zeros((1, 1, 3), np.uint8), gray, image]
    together = found(models, name, strange)
    assert [len(one) for one in together[:3]] == [0, 0, 0] and len(together[4]) == 1
    assert found(models, name, strange[::-1]) == together[::-1]
    assert [found(models, name, [one])[0] for one in strange] == together
    large = np.repeat(np.repeat(image, 4, axis=0), 4, axis=1)
    ((big,),) = found(models, name, [large])
    np.testing.assert_allclose(np.array(big)[7:9], np.array(together[4][0])[7:9], atol=0.02)


def test_image_on_which_it_fails_is_one_failed_row(
    models: Models, make_dataset: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    Image.open(SYLVIE).save(folder / "hand.png")  # with alpha
    Image.fromarray(noise(64, 64)[:, :, 0]).save(folder / "gray.png")
    Image.fromarray(noise(1, 4000)).save(folder / "line.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    real = cut_out

    def failing(rgb: Pixels, square: Square, size: int, beside: Any) -> Pixels:
        if rgb.shape[0] == 64:
            raise RuntimeError("no memory for this one")
        return real(rgb, square, size, beside)

    predict(models, "hands", [noise(8, 8)])
    data = make_dataset(folder)
    data.resources = replace(data.resources, made_models=models)
    data.run()
    monkeypatch.setattr(family, "cut_out", failing)
    result = data.metrics("hands")["hands"]
    assert (result.rows, sum(result.failures.values())) == (3, 1)
    rows = data.sql(
        "select s.height, h.status, h.reason, hands_count, hands[1].label, len(hands[1].landmarks), hands_share > 0.005 "
        "from d.hands h join d.samples s using (sample_id) order by s.height"
    )
    assert rows[0] == (1, "ok", None, 0, None, None, False)
    assert rows[1][:2] == (64, "failed") and "no memory for this one" in rows[1][2]
    assert rows[2] == (700, "ok", None, 1, "left", 21, True)
