"""What generators write into their files."""

import json
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from arot_assets.media.image.generation import generation
from arot_assets.media.image.probe import probe
from tests.datasets.fault_files import fault

PARAMETERS = """a cat, (soft light:1.2)
second line
Negative prompt: blurry,
low quality
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234567890, Size: 256x256, Model hash: 0123456789, \
Model: example-model, Lora hashes: "a: 1, Seed: 9", Version: v1.9.0"""


def test_web_ui_file() -> None:
    found = probe(fault("sd_parameters.png"), "a.png").generation
    assert found is not None
    raw = found.pop("raw")
    assert found == {
        "tool": "sd_webui",
        "prompt": "a portrait of an astronaut in an orange space suit, flag in the background, studio light",
        "negative_prompt": "blurry, low quality",
        "seed": 1234567890,
        "steps": 28,
        "sampler": "DPM++ 2M Karras",
        "cfg_scale": 6.5,
        "model": "example-model",
    }
    assert raw["parameters"].startswith("a portrait of an astronaut")


def test_web_ui_jpeg_keeps_it_in_exif() -> None:
    found = probe(fault("sd_parameters_exif.jpg"), "a.jpg").generation
    assert found is not None
    assert (found["tool"], found["prompt"], found["negative_prompt"]) == (
        "sd_webui",
        "a cat looking at the camera",
        "dog",
    )
    assert (found["seed"], found["steps"], found["cfg_scale"]) == (1, 20, 7.0)


def test_comfyui_file() -> None:
    found = probe(fault("comfyui_workflow.png"), "a.png").generation
    assert found is not None
    raw = found.pop("raw")
    assert found == {
        "tool": "comfyui",
        "prompt": "a cup of coffee on a wooden table",
        "negative_prompt": "text, watermark",
        "seed": 42,
        "steps": 20,
        "sampler": "euler",
        "cfg_scale": 7.0,
        "model": "example.safetensors",
    }
    assert raw["prompt"]["3"]["class_type"] == "KSampler"
    assert raw["workflow"]["last_node_id"] == 9


def test_several_lines_and_quoted_settings() -> None:
    found = generation({"parameters": PARAMETERS})
    assert found is not None
    assert found["prompt"] == "a cat, (soft light:1.2)\nsecond line"
    assert found["negative_prompt"] == "blurry,\nlow quality"
    assert (found["seed"], found["model"]) == (1234567890, "example-model")


def test_prompt_alone() -> None:
    assert generation({"parameters": "just words"}) == {
        "tool": "sd_webui",
        "prompt": "just words",
        "raw": {"parameters": "just words"},
    }


def test_comfyui_graph_of_separate_nodes() -> None:
    """The newer sampler: noise, guider, sampler and sigmas are nodes of their own; the prompt is a linked string."""
    graph = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.safetensors"}},
        "2": {"class_type": "PrimitiveString", "inputs": {"value": "a red fox"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": ["2", 0], "clip": ["9", 0]}},
        "4": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["3", 0]}},
        "5": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["4", 0]}},
        "6": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
        "7": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "8": {"class_type": "BasicScheduler", "inputs": {"steps": 25, "model": ["1", 0]}},
        "9": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "t5"}},
        "10": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["6", 0],
                "guider": ["5", 0],
                "sampler": ["7", 0],
                "sigmas": ["8", 0],
                "latent_image": ["11", 0],
            },
        },
        "11": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}},
    }
    found = generation({"prompt": json.dumps(graph)})
    assert found is not None
    assert {k: found[k] for k in ("prompt", "seed", "steps", "sampler", "cfg_scale", "model")} == {
        "prompt": "a red fox",
        "seed": 7,
        "steps": 25,
        "sampler": "euler",
        "cfg_scale": 3.5,
        "model": "flux.safetensors",
    }
    assert "negative_prompt" not in found


def test_comfyui_graph_with_a_cycle_ends() -> None:
    graph = {
        "1": {"class_type": "A", "inputs": {"x": ["2", 0]}},
        "2": {"class_type": "B", "inputs": {"x": ["1", 0]}},
        "3": {"class_type": "KSampler", "inputs": {"positive": ["1", 0], "latent_image": ["2", 0], "seed": 5}},
    }
    found = generation({"prompt": json.dumps(graph)})
    assert found is not None
    assert (found["seed"], "prompt" in found) == (5, False)


def test_comfyui_webp_keeps_it_in_exif() -> None:
    exif = Image.Exif()
    graph = '{"3": {"class_type": "KSampler", "inputs": {"seed": 11, "positive": ["4", 0], "latent_image": ["5", 0]}}}'
    exif[0x0110], exif[0x010F] = f"prompt:{graph}", 'workflow:{"nodes": []}'
    out = BytesIO()
    Image.new("RGB", (32, 32)).save(out, "WEBP", exif=exif)
    found = probe(out.getvalue(), "a.webp").generation
    assert found is not None
    assert (found["tool"], found["seed"], found["raw"]["workflow"]) == ("comfyui", 11, {"nodes": []})


def novelai_texts() -> dict[str, str]:
    settings = {
        "steps": 28,
        "scale": 5.5,
        "seed": 99,
        "sampler": "k_euler_ancestral",
        "uc": "lowres",
        "prompt": "1girl",
    }
    return {
        "Title": "AI generated image",
        "Description": "1girl, solo",
        "Software": "NovelAI",
        "Source": "Stable Diffusion XL C1E1DA1E",
        "Comment": json.dumps(settings),
    }


def test_novelai_file() -> None:
    info = PngInfo()
    for name, text in novelai_texts().items():
        info.add_text(name, text)
    out = BytesIO()
    Image.new("RGB", (32, 32)).save(out, "PNG", pnginfo=info)
    found = probe(out.getvalue(), "a.png").generation
    assert found is not None
    raw = found.pop("raw")
    assert found == {
        "tool": "novelai",
        "prompt": "1girl, solo",
        "negative_prompt": "lowres",
        "seed": 99,
        "steps": 28,
        "sampler": "k_euler_ancestral",
        "cfg_scale": 5.5,
        "model": "Stable Diffusion XL C1E1DA1E",
    }
    assert raw["Comment"]["prompt"] == "1girl"


def test_novelai_without_readable_settings_keeps_the_prompt() -> None:
    found = generation(novelai_texts() | {"Comment": "{broken"})
    assert found is not None
    assert (found["prompt"], found["raw"]["Comment"], "seed" in found) == ("1girl, solo", "{broken", False)


@pytest.mark.parametrize("zipped", [True, False])
def test_international_text_chunks(zipped: bool) -> None:
    info = PngInfo()
    info.add_itxt("parameters", "猫の写真\nSteps: 5, Seed: 3", zip=zipped)
    out = BytesIO()
    Image.new("RGB", (32, 32)).save(out, "PNG", pnginfo=info)
    found = probe(out.getvalue(), "a.png").generation
    assert found is not None
    assert (found["prompt"], found["seed"]) == ("猫の写真", 3)


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_exif_comment_in_either_byte_order(encoding: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\x00" + "a cat\nSteps: 5, Seed: 3".encode(encoding)
    out = BytesIO()
    Image.new("RGB", (32, 32)).save(out, "JPEG", exif=exif)
    found = probe(out.getvalue(), "a.jpg").generation
    assert found is not None
    assert (found["prompt"], found["seed"]) == ("a cat", 3)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"Software": "Adobe Photoshop", "Comment": "made with care"},
        {"UserComment": "holiday in Rome"},
        {"prompt": "plain words"},
        {"parameters": '{"other": "tool"}'},
        {"Make": "Canon", "Model": "EOS 5D"},
    ],
)
def test_other_texts_are_no_generation(texts: dict[str, str]) -> None:
    assert generation(texts) is None


names = st.sampled_from(
    ["parameters", "prompt", "workflow", "Software", "Comment", "Description", "UserComment", "Make", "Model"]
)
words = st.sampled_from(
    ["Steps: 1, Seed: ", "Negative prompt: ", "NovelAI", '{"1": {"inputs": ', "prompt:{}", '["1", 0]', '"', "\n", ","]
)


@settings(deadline=None)
@given(st.dictionaries(names, st.lists(words | st.text(max_size=20), max_size=12).map("".join)))
def test_any_texts_give_something_storable(texts: dict[str, str]) -> None:
    found = generation(texts)
    assert found is None or {"tool", "raw"} <= set(found)
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")


links = st.tuples(st.sampled_from("123"), st.integers(0, 1)).map(list)
inputs = st.dictionaries(
    st.sampled_from(["positive", "negative", "latent_image", "seed", "steps", "cfg", "text", "model", "guider"]),
    links
    | st.text(max_size=3)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.none()
    | st.lists(st.none(), max_size=2),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("1234"), st.fixed_dictionaries({"inputs": inputs}) | st.none() | st.integers()))
def test_any_graph_gives_something_storable(graph: dict[str, object]) -> None:
    found = generation({"prompt": json.dumps(graph)})
    if graph:
        assert found is not None
        json.dumps(found, allow_nan=False)
