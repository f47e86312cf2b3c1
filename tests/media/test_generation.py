"""What generators write into their files."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from arot_assets.media.image.formats.exif import read_exif
from arot_assets.media.image.generation import generation
from arot_assets.media.image.probe import probe
from tests.datasets.fault_files import fault
from tests.media.answers import ANSWERS

FILES = Path(__file__).parents[1] / "data" / "generation"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))

PARAMETERS = """a cat, (soft light:1.2)
second line
Negative prompt: blurry,
low quality
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234567890, Size: 256x256, Model hash: 0123456789, \
Model: example-model, Lora hashes: "a: 1, Seed: 9", Version: v1.9.0"""


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_files_of_every_tool(name: str) -> None:
    found = probe((FILES / name).read_bytes(), name).generation
    assert found is not None
    assert found.pop("raw")
    assert found == EXPECTED[name]


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
        {"UserComment": '{"camera": "x", "scale": 2}'},
        {"Make": "Canon", "Model": "EOS 5D"},
    ],
)
def test_other_texts_are_no_generation(texts: dict[str, str]) -> None:
    assert generation(texts) is None


def read(texts: dict[str, str]) -> dict[str, Any]:
    found = generation(texts)
    assert found is not None
    return found


def test_no_text_of_a_generator_is_dropped() -> None:
    graph = json.dumps(
        {"1": {"class_type": "KSampler", "inputs": {"seed": 1, "positive": ["2", 0], "latent_image": ["3", 0]}}}
    )
    found = read({"prompt": graph, "parameters": PARAMETERS, "Author": "me", "Comment": '{"a": "{\\"b\\": 1}"}'})
    assert found["raw"]["parameters"] == PARAMETERS
    assert found["raw"]["prompt"] == json.loads(graph)
    assert (found["raw"]["Author"], found["raw"]["Comment"]) == ("me", {"a": {"b": 1}})
    assert (found["tool"], found["seed"], found["steps"]) == ("comfyui", 1, 28)  # what the graph lacks, the text says
    assert read({"prompt": '{"1": {"class_type": '}) == {"tool": "comfyui", "raw": {"prompt": '{"1": {"class_type": '}}
    assert read({"parameters": '{"other": "tool"}'}) == {"tool": "other", "raw": {"parameters": {"other": "tool"}}}
    assert read({"parameters": '{"cut": '})["raw"] == {"parameters": '{"cut": '}


SWARM = {
    "prompt": "a fox",
    "negativeprompt": "blurry",
    "seed": 7,
    "steps": 20,
    "sampler": "euler",
    "cfgscale": 5.5,
    "model": "m",
}
INVOKE_2 = {
    "model_weights": "m",
    "image": {
        "prompt": [{"prompt": "a fox [blurry]", "weight": 1}],
        "seed": 7,
        "steps": 20,
        "sampler": "euler",
        "cfg_scale": 5.5,
    },
}
FOOOCUS = {
    **{
        "prompt": "a fox",
        "negative_prompt": "blurry",
        "seed": "7",
        "steps": 20,
        "sampler": "euler",
        "guidance_scale": 5.5,
    },
    **{"base_model": "m", "version": "Fooocus v2.5.0"},
}
FOOOCUS_LOG = {
    **{
        "Prompt": "a fox",
        "Negative Prompt": "blurry",
        "Seed": 7,
        "Steps": 20,
        "Sampler": "euler",
        "Guidance Scale": 5.5,
    },
    **{"Base Model": "m", "Version": "Fooocus v2.1"},
}
EASY = {
    **{"prompt": "a fox", "negative_prompt": "blurry", "seed": 7, "num_inference_steps": 20, "sampler_name": "euler"},
    **{"guidance_scale": 5.5, "use_stable_diffusion_model": "m"},
}
NOVELAI = {"prompt": "a fox", "uc": "blurry", "seed": 7, "steps": 20, "sampler": "euler", "scale": 5.5}


@pytest.mark.parametrize(
    ("tool", "texts"),
    [
        ("swarmui", {"parameters": json.dumps({"sui_image_params": SWARM, "sui_extra_data": {"date": "x"}})}),
        ("swarmui", {"UserComment": json.dumps({"sui_image_params": SWARM})}),
        ("invokeai", {"sd-metadata": json.dumps(INVOKE_2), "Dream": '"a fox" -s 1'}),
        ("fooocus", {"UserComment": json.dumps(FOOOCUS), "Software": "Fooocus v2.5.0"}),
        ("fooocus", {"Comment": json.dumps(FOOOCUS_LOG)}),
        (
            "fooocus",
            {
                "fooocus_scheme": "a1111",
                "parameters": "a fox\nNegative prompt: blurry\nSteps: 20, Sampler: euler, Seed: 7, CFG scale: 5.5, Model: m",
            },
        ),
        ("easy_diffusion", {"UserComment": json.dumps(EASY)}),
        ("novelai", {"Software": "NovelAI", "Source": "m", "Comment": json.dumps(NOVELAI)}),
        ("novelai", {"comment": json.dumps({"Software": "NovelAI", "Source": "m", "Comment": json.dumps(NOVELAI)})}),
        ("other", {"UserComment": json.dumps(ANSWERS)}),
        ("other", {key: str(value) for key, value in ANSWERS.items()}),
    ],
)
def test_each_tool_by_its_own_names(tool: str, texts: dict[str, str]) -> None:
    found = read(texts)
    del found["raw"]
    assert found == {"tool": tool, **ANSWERS}


def test_command_line_of_an_old_invokeai() -> None:
    found = read({"Dream": '"a fox [blurry]" -s 20 -S 7 -W 512 -H 512 -C 5.5 -A euler'})
    assert {**ANSWERS, **found, "model": "m"} == {**ANSWERS, "tool": "invokeai", "raw": found["raw"]}
    assert read({"Dream": '"a quote that does not end'})["raw"] == {"Dream": '"a quote that does not end'}


def test_invokeai_names_its_model_in_an_object() -> None:
    for model in ({"name": "m", "base": "sdxl"}, {"model_name": "m"}, {"model": {"name": "m"}}):
        assert read({"invokeai_metadata": json.dumps({"positive_prompt": "a fox", "model": model})})["model"] == "m"


def test_novelai_prompt_of_the_fourth_version() -> None:
    settings = {
        "v4_prompt": {"caption": {"base_caption": "a fox"}},
        "v4_negative_prompt": {"caption": {"base_caption": "blurry"}},
    }
    found = read({"Software": "NovelAI", "Comment": json.dumps(settings)})
    assert (found["prompt"], found["negative_prompt"]) == ("a fox", "blurry")


COMMENT = "un café, 灯台 🌊\nNegative prompt: flou\nSteps: 5, Sampler: euler, Seed: 3"


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("code", [b"UNICODE\x00", b"ASCII\x00\x00\x00", bytes(8), b" " * 8, b"Unicode\x00", b""])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", [b"", b"\x00", b"\x00\x00"])
def test_exif_comment_in_any_code_under_any_name(order: str, code: bytes, encoding: str, end: bytes) -> None:
    value = code + COMMENT.encode(encoding) + end
    little = "little" if order == "II" else "big"
    block = order.encode() + (42).to_bytes(2, little) + (8).to_bytes(4, little) + (1).to_bytes(2, little)
    block += (
        (0x9286).to_bytes(2, little)
        + (7).to_bytes(2, little)
        + len(value).to_bytes(4, little)
        + (26).to_bytes(4, little)
    )
    _, texts = read_exif(block + bytes(4) + value)
    assert texts == {"UserComment": COMMENT}


def test_japanese_exif_comment() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"JIS\x00\x00\x00\x00\x00" + "灯台\nSteps: 5, Seed: 3".encode("iso2022_jp")
    out = BytesIO()
    Image.new("RGB", (32, 32)).save(out, "JPEG", exif=exif)
    found = probe(out.getvalue(), "a.jpg").generation
    assert found is not None
    assert found["prompt"] == "灯台"


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
