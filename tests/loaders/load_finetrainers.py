"""finetrainers' own data set code on an export: prints what it would train, as JSON.

python load_finetrainers.py CHECKOUT CONFIG.json

It is of the time of ``datasets`` 3, which decodes clips with decord; ``finetrainers-packages`` beside the checkout has it (`pip install
--no-deps --target finetrainers-packages datasets==3.3.2 dill==0.3.8 multiprocess==0.70.16`, and `aiohttp` with what it needs). It gives pictures without their paths, so its answers are in its own order: captions and sizes.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from standins import told, use_checkout


def main() -> None:
    checkout, config = Path(sys.argv[1]), sys.argv[2]
    use_checkout(checkout, "diffusers", "decord", "peft", "finetrainers.args", "finetrainers.config", "finetrainers.models", "finetrainers.trainer", "finetrainers.trackers", "finetrainers.parallel", "finetrainers.patches", "finetrainers.optimizer", "wandb")  # fmt: skip
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
        for one in code.wrap_iterable_dataset_for_preprocessing(whole, medium, options):
            *_, height, width = one[medium].shape
            frames = one[medium].shape[0] if medium == "video" else 1
            found.append([one["caption"], width, height, frames])
    told(found)


main()
