"""Each family gives the numbers of the model card's own pipeline, on awkward images, in any batch."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resources.models import ModelError, Models
from resources.models.entries import find_entry
from resources.models.transformers_files import has_levels, levels, processed, values_of
from resources.models.which_family import family_of
from tests.models import tiny

SQUARE = {"size": 32, "resize": "pad", "mean": [0.5] * 3, "std": [0.5] * 3, "colour": [255] * 3, "channels": "BGR"}
EMBEDDING = [{"kind": "embedding", "size": 16, "meaning": "image embedding", "normalised": True}]
TAGS = {
    "kind": "tags",
    "count": 12,
    "meaning": "Danbooru tags",
    "tags": {"file": "selected_tags.csv", "category": "category", "categories": {"0": "general", "4": "character"}},
}
LEVELS = {"kind": "ordinal", "labels": ["low", "middle", "high"], "values": [1, 2, 3], "meaning": "quality"}
NHWC = {"size": 16, "resize": "squash", "channels": "BGR", "scale": "0-255", "layout": "NHWC"}
KINDS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "tagger": (tiny.timm_tagger, {"family": "timm", "outputs": [TAGS], "preprocessing": SQUARE}),
    "tagger_as_published": (tiny.timm_tagger, {"family": "timm", "outputs": [TAGS]}),
    "quality": (tiny.vit_classifier, {"family": "transformers_image", "outputs": [LEVELS]}),
    "clip": (tiny.clip, {"family": "clip", "outputs": EMBEDDING}),
    "open_clip": (tiny.open_clip, {"family": "clip", "outputs": EMBEDDING}),
    "depth": (
        tiny.depth_anything,
        {"family": "depth", "outputs": [{"kind": "map", "name": "depth", "meaning": "depth"}]},
    ),
    "scorer": (
        tiny.onnx_scorer,
        {"family": "onnx", "preprocessing": NHWC, "outputs": [{"kind": "score", "meaning": "blue against red"}]},
    ),
}
WORDS = {"kind": "tags", "count": 6, "meaning": "plain words", "tags": list("abcdef"), "floor": 0.0}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
KINDS["words"] = (
    tiny.ram_plus,
    {
        "family": "ram",
        "outputs": [WORDS, {"kind": "embedding", "size": 12, "meaning": "its mean token"}],
        "options": tiny.RAM,
        "preprocessing": {"size": 64, "resize": "squash", "interpolation": "bilinear", **IMAGENET},
    },
)
TOLERANCE = 2e-5


def images() -> list[Image.Image]:
    """As a decoder gives them, upright RGB: noise, gray, a line of pixels, one pixel, wide, tall."""
    noise = np.random.default_rng(0)
    sizes = [(40, 48), (1, 400), (1, 1), (33, 90), (77, 31)]
    made = [Image.fromarray(noise.integers(0, 256, (*size, 3), np.uint8)) for size in sizes]
    return [*made, Image.fromarray(noise.integers(0, 256, (50, 20), np.uint8)).convert("RGB")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_the_hub_gives_the_numbers_of_its_model_card(
    kind: str, models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    make, fields = KINDS[kind]
    published(kind, make, **fields)
    runner = models.get(kind)
    reference = family_of(runner.entry).reference(runner.entry, models.files.verified(find_entry(kind)))
    pictures = [p for p in images() if kind != "depth" or min(p.size) > 20]
    inputs = [runner.prepare(np.asarray(picture)) for picture in pictures]
    together = runner.predict(inputs)
    for output in runner.entry.outputs:
        for position, picture in enumerate(pictures):
            wanted = reference(picture)[output.of][0]
            alone = runner.predict([inputs[position]])[output.of][0]
            np.testing.assert_allclose(alone, wanted, atol=TOLERANCE, err_msg=f"{kind} {picture.size}")
            np.testing.assert_allclose(together[output.of][position], alone, atol=TOLERANCE)


def test_int8_files_are_computed_without_saturation_on_any_cpu(
    models: Models, published: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without VNNI, sums of products of 8 bits saturate at 16 unless the session is told to be precise."""
    import onnxruntime

    told: list[str] = []
    real = onnxruntime.InferenceSession

    def session(file: str, options: Any, **settings: Any) -> Any:
        told.append(options.get_session_config_entry("session.x64quantprecision"))
        return real(file, options, **settings)

    make, fields = KINDS["scorer"]
    published("scorer", make, **fields)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    models.get("scorer")
    assert told == ["1"]


def test_openvino_is_another_version_with_the_same_numbers(
    models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    make, fields = KINDS["scorer"]
    published("scorer", make, **fields)
    other = replace(models, engine="openvino")
    assert other.fingerprint("scorer") == models.fingerprint("scorer") + "-openvino"
    (output,) = models.get("scorer").entry.outputs
    one, two = (
        m.get("scorer").predict([m.get("scorer").prepare(np.asarray(images()[0]))])[output.of] for m in (models, other)
    )
    np.testing.assert_allclose(two, one, atol=TOLERANCE)


def test_without_openvino_its_extra_is_named(
    models: Models, published: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, fields = KINDS["scorer"]
    published("scorer", make, **fields)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"needs `pip install 'arot\[openvino\]'`"):
        replace(models, engine="openvino").get("scorer")


def test_a_text_tower_embeds_text_into_the_space_of_images(
    models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    import open_clip
    import torch

    published("open_clip", tiny.open_clip, family="clip", outputs=EMBEDDING)
    runner = models.get("open_clip")
    found = runner.encode_text(["a red car", "a cat"])
    folder = models.files.verified(runner.entry)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.inference_mode():
        wanted = model.eval().encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(["a red car", "a cat"]))
    np.testing.assert_allclose(found, wanted.numpy(), atol=TOLERANCE)


def test_levels_are_what_a_processor_makes_its_values_of() -> None:
    """What a GPU gets and looks up are the very values of the processor."""
    from transformers import BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor, ViTImageProcessor

    for kind in (BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor, ViTImageProcessor):
        processor = kind()
        assert has_levels(processor)
        values = values_of(processor)
        for picture in images():
            rgb = np.asarray(picture)
            small = levels(processor, rgb)
            looked_up = np.stack([values[channel][small[..., channel]] for channel in range(3)])
            assert np.array_equal(looked_up, processed(processor, rgb)), (kind, rgb.shape)


def test_ram_plus_gives_the_numbers_of_its_published_code(
    models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    """The logits are what xinyu1205/recognize-anything@7cb804a gave for these very weights and this picture."""
    make, fields = KINDS["words"]
    published("words", make, **fields)
    y, x = np.mgrid[0:60, 0:90]
    rgb = np.stack([x * 2 % 256, y * 3 % 256, x * y % 256], axis=-1).astype(np.uint8)
    runner = models.get("words")
    found = runner.predict(
        [runner.prepare(np.asarray(Image.fromarray(rgb).convert(kind).convert("RGB"))) for kind in ("RGB", "L")]
    )
    colour, gray = np.asarray(found["logits"])
    np.testing.assert_allclose(colour, [-0.73265, -0.77803, -0.75239, -0.75604, -0.75706, -0.72432], atol=TOLERANCE)
    np.testing.assert_allclose(gray, [-0.8431, -0.8968, -0.8710, -0.8753, -0.8735, -0.8407], atol=1e-4)


def test_a_file_that_is_no_ram_plus_or_has_other_tags_is_told(
    models: Models, published: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    make, fields = KINDS["words"]
    more = [fields["outputs"][0] | {"count": 7, "tags": list("abcdefg")}]
    published("more", make, **(fields | {"outputs": more}))
    with pytest.raises(ModelError, match="18 texts, which are not the same number for each of 7 tags"):
        models.get("more")
    published("other", lambda folder: tiny.linear_head(folder, "model.pth", [4, 2], ""), **fields)
    with pytest.raises(ModelError, match="is it a checkpoint of RAM"):
        models.get("other")
