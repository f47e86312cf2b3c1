"""finetrainers' own data set code on an export: prints what it would train, as JSON.

python load_finetrainers.py CHECKOUT CONFIG.json

It is of the time of ``datasets`` 3, which decodes clips with decord; ``finetrainers-packages`` beside the checkout has it (`pip install
--no-deps --target finetrainers-packages datasets==3.3.2 dill==0.3.8 multiprocess==0.70.16`, and `aiohttp` with what it needs). It gives pictures without their paths, so its answers are in its own order: captions and sizes, with the size of the control, as its
control trainer scales it, and the means of its left and right halves; null without.
"""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from standins import told, use_checkout


def with_controls(checkout: Path, samples: Any) -> Any:
    """What its control trainer makes of the samples; its package cannot be imported without its models."""
    package = ModuleType("control_trainer")
    package.__path__ = [str(checkout / "finetrainers" / "trainer" / "control_trainer")]
    sys.modules["control_trainer"] = package
    from control_trainer.data import IterableControlDataset

    return IterableControlDataset(samples, "custom")


def main() -> None:
    checkout, config = Path(sys.argv[1]), sys.argv[2]
    use_checkout(checkout, "diffusers", "decord", "peft", "finetrainers.args", "finetrainers.config", "finetrainers.models", "finetrainers.trainer", "finetrainers.trackers", "finetrainers.parallel", "finetrainers.patches", "finetrainers.optimizer", "finetrainers.processors", "wandb")  # fmt: skip
    sys.path.insert(0, str(checkout.parent / "finetrainers-packages"))
    import torchvision.io

    if not hasattr(torchvision.io, "video_reader"):  # newer torchvision has none; it is named in types only
        torchvision.io.video_reader = SimpleNamespace(VideoReader=type("VideoReader", (), {}))
    from finetrainers.data import dataset as code

    found = []
    for settings in json.loads(Path(config).read_text())["datasets"]:
        medium = settings["dataset_type"]
        options = {n: [tuple(b) for b in v] if n.endswith("buckets") else v for n, v in settings.items() if n not in ("data_root", "dataset_type")}  # fmt: skip
        whole = code.initialize_dataset(settings["data_root"], medium, streaming=True, infinite=False)
        samples = code.wrap_iterable_dataset_for_preprocessing(whole, medium, options)
        for one in with_controls(checkout, samples) if "rename_columns" in settings else samples:
            *_, height, width = one[medium].shape
            frames = one[medium].shape[0] if medium == "video" else 1
            control = one.get("control_image")
            beside = control is not None and [*control.shape[:-3:-1], *(half.float().mean().item() for half in control.tensor_split(2, dim=-1))]  # fmt: skip
            found.append([one["caption"], width, height, frames, beside or None])
    told(found)


main()
