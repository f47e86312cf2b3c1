"""Heads over stored vectors: what torch's own layers give, many in one pass, whatever their neighbours are."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from resources.models import ModelError, Models
from resources.models.entries import entry_of
from resources.models.entry import ModelEntry
from resources.models.families import head as family
from resources.models.heads import Head, Heads, Layer, folded

DIMENSIONS = 48
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, DIMENSIONS)).astype(np.float16)


def write_head(
    folder: Path, name: str, tensors: dict[str, np.ndarray], score: dict[str, Any] | None = None, **options: Any
) -> ModelEntry:
    """A head's file, and the entry that pins it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.safetensors"
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, file)
    output = {"kind": "score", "meaning": "how good it is, 1-10", "low": 1, "high": 10} if score is None else score
    fields = {
        "name": name,
        "family": "head",
        "takes": "embedding.vector",
        "weights": {"uri": str(folder), "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}},
        "outputs": [output],
        "licence": "MIT",
        "parameters": sum(v.size for v in tensors.values()),
        "reference": "torch.nn.Linear",
        "options": options,
    }
    return entry_of(fields, name)


def stack(*sizes: int, names: str = "layers.{}") -> dict[str, np.ndarray]:
    """Tensors of linear layers as torch saves a Sequential with dropout between them: every other number."""
    tensors = {}
    for n, (before, after) in enumerate(pairwise(sizes)):
        tensors[names.format(2 * n) + ".weight"] = RNG.normal(size=(after, before)).astype(np.float32) / np.sqrt(before)
        tensors[names.format(2 * n) + ".bias"] = RNG.normal(size=after).astype(np.float32)
    return tensors


KINDS = {
    "linear": (stack(DIMENSIONS, 1), {"normalise": True}),
    "deep_without_activations": (stack(DIMENSIONS, 64, 32, 16, 16, 8, 1), {"normalise": True}),
    "mlp": (stack(DIMENSIONS, 64, 32, 3), {"activation": "relu"}),
    "listed": (stack(DIMENSIONS, 32, 16, 2), {"activations": ["gelu", "none", "sigmoid"], "normalise": True}),
    "tanh": (stack(DIMENSIONS, 8, 5), {"activation": "gelu_tanh"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_head_gives_what_its_layers_give(kind: str, tmp_path: Path) -> None:
    tensors, options = KINDS[kind]
    entry = write_head(tmp_path, kind, tensors, **options)
    expected = family.reference_of_vectors(entry, tmp_path)(VECTORS)
    found = Heads({kind: family.read_head(entry, tmp_path)}).predict(VECTORS)[kind]
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_vector_without_length_has_a_score(tmp_path: Path) -> None:
    """As published: a length of 0 counts as 1, so what is left is the head's bias."""
    tensors = stack(DIMENSIONS, 1)
    heads = Heads({"score": family.read_head(write_head(tmp_path, "score", tensors, normalise=True), tmp_path)})
    found = heads.predict(np.zeros((2, DIMENSIONS), np.float32))["score"]
    np.testing.assert_array_equal(found.ravel(), np.repeat(tensors["layers.0.bias"], 2))


def test_many_heads_in_one_pass_are_each_alone_and_rows_do_not_depend_on_each_other(tmp_path: Path) -> None:
    heads = {n: family.read_head(write_head(tmp_path, n, t, **o), tmp_path) for n, (t, o) in KINDS.items()}
    together = Heads(heads).predict(VECTORS)
    assert list(together) == Heads(heads).names and set(together) == set(KINDS)
    for name, head in heads.items():
        np.testing.assert_allclose(together[name], Heads({name: head}).predict(VECTORS)[name], atol=1e-5)
        np.testing.assert_allclose(together[name][5:6], Heads(heads).predict(VECTORS[5:6])[name], atol=1e-5)
    assert all(v.shape[0] == 0 for v in Heads(heads).predict(VECTORS[:0]).values())
    zeros = Heads(heads).predict(np.zeros((2, DIMENSIONS), np.float16))
    assert all(np.isfinite(values).all() for values in zeros.values())


def test_layers_without_activations_are_one_matrix(tmp_path: Path) -> None:
    deep = family.read_head(write_head(tmp_path, "deep", KINDS["deep_without_activations"][0]), tmp_path)
    assert len(deep.layers) == 6 and len(folded(deep).layers) == 1
    mixed = family.read_head(write_head(tmp_path, "mixed", *KINDS["listed"][:1], **KINDS["listed"][1]), tmp_path)
    assert [layer.activation for layer in folded(mixed).layers] == ["gelu", "sigmoid"]


def test_bfloat16_stays_close_to_float32(tmp_path: Path) -> None:
    heads = {n: family.read_head(write_head(tmp_path, n, t, **o), tmp_path) for n, (t, o) in KINDS.items()}
    full, reduced = Heads(heads).predict(VECTORS), Heads(heads, precision="bfloat16").predict(VECTORS)
    for name in heads:
        assert np.abs(full[name] - reduced[name]).max() < 0.05 * max(full[name].std(), 0.1), name
    np.testing.assert_array_equal(full["linear"], reduced["linear"]), "one matrix gains nothing by fewer digits"


def test_published_layout_of_a_pth_file_is_read(tmp_path: Path) -> None:
    import torch

    file = tmp_path / "sa_0_4_vit_b_16_linear.pth"
    torch.save(torch.nn.Linear(DIMENSIONS, 1).state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    weights = {"uri": str(tmp_path), "files": {file.name: digest}}
    entry = write_head(tmp_path, "other", stack(DIMENSIONS, 1))
    read = entry_of({**vars(entry), "outputs": [vars(o) for o in entry.outputs], "weights": weights}, "linear")
    assert family.read_head(read, tmp_path).dimensions == DIMENSIONS


@pytest.mark.parametrize(
    ("tensors", "options", "message"),
    [
        ({"norm.weight": np.ones(3, np.float32)}, {}, r"no stack of linear layers: norm.weight \[3\]"),
        ({"x": np.ones((3, 3), np.float32)}, {}, "no stack of linear layers: x"),
        (
            {**stack(8, 4), "layers.2.weight": np.ones((2, 5), np.float32)},
            {},
            "layers.0.weight gives 4 numbers, and layers.2.weight takes 5",
        ),
        (
            stack(8, 4),
            {"activation": "swish", "activations": ["swish"]},
            "no activation 'swish'; there are: none, relu",
        ),
        (stack(8, 4), {"activations": ["relu", "relu"]}, "options.activations has 2, and the file has 1 layers"),
        (stack(8, 4), {"normalize": True}, r"options \['normalize'\]; a head has: normalise"),
    ],
)
def test_file_that_is_no_head_says_why(
    tmp_path: Path, tensors: dict[str, np.ndarray], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        family.read_head(write_head(tmp_path, "odd", tensors, **options), tmp_path)


def test_heads_of_different_vectors_are_no_pass() -> None:
    layers = [Head((Layer(np.ones((1, n), np.float32), np.zeros(1, np.float32)),)) for n in (3, 4)]
    with pytest.raises(ValueError, match=r"different dimensions: \[3, 4\]"):
        Heads({"a": layers[0], "b": layers[1]})


def test_a_head_sees_no_image(tmp_path: Path) -> None:
    entry = write_head(tmp_path, "linear", stack(DIMENSIONS, 1))
    model = Models(device="cpu", cache=str(tmp_path / "cache")).load(entry)
    assert model.predict([v.astype(np.float32) for v in VECTORS[:3]])["logits"].shape == (3, 1)
    with pytest.raises(ModelError, match=r"is a head over embedding\.vector: it sees no image"):
        model.prepare(np.zeros((4, 4, 3), np.uint8))
