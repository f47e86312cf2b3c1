"""Graphs of ComfyUI: which text feeds which side of which sampler."""

from typing import Any

import pytest

from arot_assets.media.image.comfyui import read_graph
from tests.media.answers import ANSWERS

Node = tuple[str, dict[str, Any]]


def graph(**nodes: Node) -> dict[str, Any]:
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def sampler(positive: Any = None, negative: Any = None, **more: Any) -> Node:
    inputs = {
        "seed": 7,
        "steps": 20,
        "cfg": 5.5,
        "sampler_name": "euler",
        "model": ["model", 0],
        "latent_image": ["empty", 0],
    }
    return "KSampler", {**inputs, "positive": positive or ["fox", 0], "negative": negative or ["blur", 0], **more}


ENDS: dict[str, Node] = {
    "model": ("CheckpointLoaderSimple", {"ckpt_name": "m"}),
    "empty": ("EmptyLatentImage", {"width": 512}),
    "fox": ("CLIPTextEncode", {"text": "a fox", "clip": ["model", 1]}),
    "blur": ("CLIPTextEncode", {"text": "blurry", "clip": ["model", 1]}),
}


def prompts(**nodes: Node) -> tuple[str, str]:
    found = read_graph(graph(**{**ENDS, **nodes}))
    return found["prompt"], found["negative_prompt"]


def test_plain_graph() -> None:
    assert read_graph(graph(s=sampler(), **ENDS)) == ANSWERS


CONTROL = {"control_net": ["c", 0], "image": ["i", 0], "strength": 1.0}


@pytest.mark.parametrize("more", [CONTROL, {**CONTROL, "vae": ["model", 2]}, {"pixels": ["i", 0], "vae": ["model", 2]}])
def test_output_of_a_node_that_passes_both_sides_through(more: dict[str, Any]) -> None:
    node: Node = ("ControlNetApplyAdvanced", {"positive": ["fox", 0], "negative": ["blur", 0], **more})
    again: Node = ("ControlNetApplyAdvanced", {"positive": ["a", 0], "negative": ["a", 1], **more})
    assert prompts(s=sampler(["a", 0], ["a", 1]), a=node) == ("a fox", "blurry")
    assert prompts(s=sampler(["b", 0], ["b", 1]), a=node, b=again) == ("a fox", "blurry")
    assert prompts(s=sampler(["a", 1], ["a", 0]), a=node) == (
        "blurry",
        "a fox",
    )  # the sides are crossed in the graph itself


def test_control_net_of_one_side() -> None:
    node: Node = ("ControlNetApply", {"conditioning": ["fox", 0], **CONTROL})
    assert prompts(s=sampler(["a", 0]), a=node) == ("a fox", "blurry")


@pytest.mark.parametrize(("first", "second"), [(1, 2), (0, 1), (3, 4)])
def test_loader_that_holds_both_texts(first: int, second: int) -> None:
    loader: Node = (
        "Efficient Loader",
        {"ckpt_name": "m", "lora_name": "None", "positive": "a fox", "negative": "blurry"},
    )
    found = read_graph(graph(s=sampler(["l", first], ["l", second], model=["l", 0]), l=loader))
    assert found == ANSWERS
    linked: Node = ("Efficient Loader", {"ckpt_name": "m", "positive": ["t", 0], "negative": ""})
    text: Node = ("PrimitiveString", {"value": "a fox"})
    assert prompts(s=sampler(["l", first], ["l", second]), l=linked, t=text) == ("a fox", "")


def test_pipes_and_contexts() -> None:
    pipe: Node = (
        "ToBasicPipe",
        {"model": ["model", 0], "clip": ["model", 1], "positive": ["fox", 0], "negative": ["blur", 0]},
    )
    out: Node = ("FromBasicPipe", {"basic_pipe": ["p", 0]})
    assert prompts(s=sampler(["o", 3], ["o", 4]), p=pipe, o=out) == ("a fox", "blurry")
    whole: Node = (
        "ImpactKSamplerBasicPipe",
        {"basic_pipe": ["p", 0], "latent_image": ["empty", 0], "seed": 7, "steps": 20},
    )
    found = read_graph(graph(s=whole, p=pipe, **ENDS))
    assert (found["prompt"], found["negative_prompt"], found["model"]) == ("a fox", "blurry", "m")
    context: Node = ("Context (rgthree)", {"base_ctx": ["p", 0], "positive": ["fox", 0]})
    assert prompts(s=sampler(["x", 4], ["x", 5]), p=pipe, x=context) == ("a fox", "blurry")


@pytest.mark.parametrize("kind", ["ConditioningZeroOut", "Conditioning Zero Out"])
def test_zeroed_conditioning_has_no_text(kind: str) -> None:
    zero: Node = (kind.replace(" ", ""), {"conditioning": ["fox", 0]})
    assert prompts(s=sampler(negative=["z", 0]), z=zero) == ("a fox", "")


def test_empty_text_is_not_looked_for_elsewhere() -> None:
    lora: Node = ("LoraTagLoader", {"text": "a fox <lora:x:1>", "model": ["model", 0], "clip": ["model", 1]})
    empty: Node = ("CLIPTextEncode", {"text": " ", "clip": ["lora", 1]})
    assert prompts(s=sampler(negative=["e", 0]), e=empty, lora=lora) == ("a fox", "")


@pytest.mark.parametrize(
    ("guider", "negative"),
    [
        (("CFGGuider", {"cfg": 5.5, "model": ["model", 0], "positive": ["fox", 0], "negative": ["blur", 0]}), "blurry"),
        (("BasicGuider", {"model": ["model", 0], "conditioning": ["flux", 0]}), ""),
        (
            ("DualCFGGuider", {"cfg_conds": 5.5, "cond1": ["flux", 0], "cond2": ["fox", 0], "negative": ["blur", 0]}),
            "blurry",
        ),
        (
            ("PerpNegGuider", {"positive": ["flux", 0], "negative": ["blur", 0], "empty_conditioning": ["none", 0]}),
            "blurry",
        ),
    ],
)
def test_guiders(guider: Node, negative: str) -> None:
    inputs = {
        "guider": ["g", 0],
        "noise": ["n", 0],
        "sampler": ["k", 0],
        "sigmas": ["b", 0],
        "latent_image": ["empty", 0],
    }
    found = read_graph(
        graph(
            s=("SamplerCustomAdvanced", inputs),
            g=guider,
            n=("RandomNoise", {"noise_seed": 7}),
            k=("KSamplerSelect", {"sampler_name": "euler"}),
            b=("BasicScheduler", {"steps": 20, "model": ["model", 0]}),
            flux=("FluxGuidance", {"guidance": 5.5, "conditioning": ["fox", 0]}),
            none=("CLIPTextEncode", {"text": "nothing"}),
            **ENDS,
        )
    )
    assert (found["prompt"], found["negative_prompt"]) == ("a fox", negative)
    assert (found["seed"], found["steps"], found["sampler"]) == (7, 20, "euler")


@pytest.mark.parametrize(
    "inputs",
    [
        {"clip_l": "a fox", "t5xxl": "a fox", "guidance": 3.5},
        {"clip_l": "a fox", "clip_g": "", "t5xxl": "a fox", "empty_padding": "none"},
        {"text_g": "a fox", "text_l": "a fox", "width": 1024},
        {"bert": "a fox", "mt5xl": "a fox"},
        {"prompt": "a fox", "image": ["i", 0]},
        {"system_prompt": "You draw.", "user_prompt": "a fox"},
        {"wildcard_text": "a {fox|cat}", "populated_text": "a fox", "mode": "populate"},
        {"parser": "comfy", "text": "a fox", "text_g": "", "text_l": ""},
        {"my_prompt_text": "a fox", "strength": "high"},
    ],
)
def test_encoders_by_their_fields(inputs: dict[str, Any]) -> None:
    assert prompts(s=sampler(["e", 0]), e=("Encoder", {**inputs, "clip": ["model", 1]})) == ("a fox", "blurry")


def test_encoder_whose_texts_differ_gives_both() -> None:
    assert prompts(s=sampler(["e", 0]), e=("CLIPTextEncodeFlux", {"clip_l": "fox", "t5xxl": "a fox in snow"}))[0] == (
        "fox\na fox in snow"
    )


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("ConditioningCombine", ("conditioning_1", "conditioning_2")),
        ("ConditioningConcat", ("conditioning_to", "conditioning_from")),
        ("ConditioningAverage", ("conditioning_to", "conditioning_from")),
        ("ImpactConcatConditionings", ("conditioning1", "conditioning2")),
    ],
)
def test_combined_conditionings_give_all_texts(kind: str, names: tuple[str, str]) -> None:
    node: Node = (kind, {names[0]: ["fox", 0], names[1]: ["snow", 0]})
    assert prompts(s=sampler(["c", 0]), c=node, snow=("CLIPTextEncode", {"text": "snow"})) == ("a fox\nsnow", "blurry")


@pytest.mark.parametrize(
    ("kind", "inputs", "text"),
    [
        ("StringConcatenate", {"string_a": "a fox", "string_b": ["t", 0], "delimiter": ", "}, "a fox, snow"),
        (
            "Text Concatenate",
            {"delimiter": "\\n", "clean_whitespace": "true", "text_a": "a fox", "text_b": ["t", 0]},
            "a fox\nsnow",
        ),
        ("CR Text Concatenate", {"text1": "a fox", "text2": ["t", 0], "separator": ""}, "a foxsnow"),
        ("JWStringConcat", {"a": "a fox ", "b": ["t", 0]}, "a fox snow"),
        (
            "JoinStringMulti",
            {"inputcount": 2, "string_1": "a fox", "string_2": ["t", 0], "delimiter": " - "},
            "a fox - snow",
        ),
        ("ShowText", {"text": ["t", 0], "text_0": "shown before"}, "snow"),
        ("Reroute", {"": ["t", 0]}, "snow"),
    ],
)
def test_strings_of_other_nodes(kind: str, inputs: dict[str, Any], text: str) -> None:
    encoder: Node = ("CLIPTextEncode", {"text": ["j", 0], "clip": ["model", 1]})
    assert prompts(s=sampler(["e", 0]), e=encoder, j=(kind, inputs), t=("Text Multiline", {"text": "snow"}))[0] == text


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("ImpactSwitch", {"select": 2, "input1": ["blur", 0], "input2": ["fox", 0]}),
        ("CR Conditioning Input Switch", {"Input": 2, "conditioning1": ["blur", 0], "conditioning2": ["fox", 0]}),
        ("easy anythingIndexSwitch", {"index": 0, "value0": ["fox", 0], "value1": ["blur", 0]}),
        ("Switch any", {"boolean": False, "on_true": ["blur", 0], "on_false": ["fox", 0]}),
        ("Conditioning Input Switch", {"boolean": True, "conditioning_a": ["fox", 0], "conditioning_b": ["blur", 0]}),
        ("Any Switch (rgthree)", {"any_01": ["gone", 0], "any_02": ["fox", 0]}),
    ],
)
def test_switches(kind: str, inputs: dict[str, Any]) -> None:
    assert prompts(s=sampler(["w", 0]), w=(kind, inputs)) == ("a fox", "blurry")


def test_text_behind_pictures_and_models_is_no_prompt() -> None:
    edit: Node = ("ReferenceLatent", {"conditioning": ["gone", 0], "latent": ["other", 0]})
    other: Node = ("CLIPTextEncode", {"text": "something else"})
    assert prompts(s=sampler(["r", 0]), r=edit, other=other)[0] == ""


def test_first_pass_that_an_output_depends_on() -> None:
    nodes: dict[str, Node] = {
        "preview": sampler(["other", 0], seed=1),
        "second": sampler(["other", 0], seed=2, steps=5, latent_image=["up", 0]),
        "up": ("LatentUpscale", {"samples": ["first", 0]}),
        "first": sampler(),
        "other": ("CLIPTextEncode", {"text": "sharper"}),
        "show": ("PreviewImage", {"images": ["preview", 0]}),
        "decode": ("VAEDecode", {"samples": ["second", 0]}),
        "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "x"}),
        **ENDS,
    }
    assert read_graph(graph(**nodes)) == ANSWERS


def test_settings_from_other_nodes() -> None:
    found = read_graph(
        graph(
            s=sampler(seed=["n", 0], steps=["i", 0], cfg=["f", 0], sampler_name=["k", 0], model=["lora", 0]),
            n=("Seed (rgthree)", {"seed": 7}),
            i=("PrimitiveInt", {"value": 20}),
            f=("Reroute", {"": ["f2", 0]}),
            f2=("PrimitiveFloat", {"value": 5.5}),
            k=("SamplerSelector", {"sampler_name": "euler"}),
            lora=("LoraLoader", {"lora_name": "l", "model": ["model2", 0], "clip": ["model", 1]}),
            model2=("CheckpointLoader|pysssss", {"ckpt_name": {"content": "m", "image": None}}),
            **ENDS,
        )
    )
    assert found == ANSWERS


def test_node_that_does_everything() -> None:
    found = read_graph(graph(a=("FluxProImage", {"prompt": "a fox", "seed": 7, "width": 1024})))
    assert (found["prompt"], found["negative_prompt"], found["seed"]) == ("a fox", "", 7)


def test_loops_and_doubled_strings_end() -> None:
    nodes: dict[str, Node] = {f"j{i}": ("Concat", {"a": [f"j{i + 1}", 0], "b": [f"j{i + 1}", 0]}) for i in range(60)}
    nodes["j60"] = ("Text", {"text": "abc"})
    assert 1000 < len(prompts(s=sampler(["j0", 0]), **nodes)[0]) <= 100_000
    loop: Node = ("Reroute", {"": ["x", 0]})
    assert prompts(s=sampler(["x", 0]), x=("Reroute", {"": ["y", 0]}), y=loop)[0] == ""
    chain: dict[str, Node] = {f"c{i}": ("Reroute", {"": [f"c{i + 1}", 0]}) for i in range(5000)}
    assert prompts(s=sampler(["c0", 0]), **chain)[0] == ""
