"""The data set code of diffusers' training scripts on an export: prints what they would train, as JSON.

python load_diffusers.py CHECKOUT COMMANDS.md CACHE

The script and its arguments are those of the command line that the export has written. A dreambooth script has a class for its
data; ``train_text_to_image_lora.py`` has a part of its ``main``, from its data files to its transforms, which is run from its
source. Pictures come without their paths: captions and sizes, in the script's order.
"""

import os
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from standins import told, use_checkout

FIRST, LAST = (
    "    if args.dataset_name is not None:\n        # Downloading and loading",
    "    def unwrap_model(model):\n",
)


def dreambooth(script: ModuleType) -> list[list[Any]]:
    """What its class for the data gives."""
    from diffusers.training_utils import parse_buckets_string

    args = script.args
    buckets = parse_buckets_string(args.aspect_ratio_buckets)
    dataset = script.DreamBoothDataset(args.instance_data_dir, args.instance_prompt, None, size=args.resolution, repeats=args.repeats, center_crop=args.center_crop, buckets=buckets)  # fmt: skip
    rows = (dataset[n] for n in range(len(dataset)))
    return [[r["instance_prompt"], r["instance_images"].shape[-1], r["instance_images"].shape[-2]] for r in rows]


def text_to_image(script: ModuleType) -> list[list[Any]]:
    """What that part of its ``main`` gives."""
    from textwrap import dedent

    assert script.__file__ is not None
    source = Path(script.__file__).read_text()
    scope = {**vars(script), "args": script.args, "os": os}
    exec(dedent(source[source.index(FIRST) : source.index(LAST)]), scope)
    rows = ((r[scope["caption_column"]], scope["train_transforms"](r[scope["image_column"]].convert("RGB"))) for r in scope["dataset"]["train"])  # fmt: skip
    return [[caption, picture.shape[-1], picture.shape[-2]] for caption, picture in rows]


def controlnet(script: ModuleType) -> list[list[Any]]:
    """What its function for the data gives: with the size of the conditioning picture."""
    from accelerate import Accelerator

    class Tokenizer:
        """Takes the place of the model's."""

        model_max_length = 77

        def __call__(self, captions: list[str], **_: object) -> SimpleNamespace:
            return SimpleNamespace(input_ids=[len(c) for c in captions])

    dataset = script.make_train_dataset(script.args, Tokenizer(), Accelerator())
    rows = (dataset[n] for n in range(len(dataset)))
    return [[r["text"], *r["pixel_values"].shape[:0:-1], *r["conditioning_pixel_values"].shape[:0:-1]] for r in rows]


def main() -> None:
    checkout, commands, cache = Path(sys.argv[1]), Path(sys.argv[2]).read_text(), sys.argv[3]
    use_checkout(checkout / "src", "peft")
    sys.path.insert(0, str(checkout.parent / "packages"))
    command = re.search(r"accelerate launch (.*)", commands)
    assert command is not None, commands
    path, *options = [word for word in shlex.split(command[1]) if word != "…"]
    sys.path.insert(0, str((checkout / path).parent))
    sys.argv = [path, *options, "--pretrained_model_name_or_path", "MODEL", "--cache_dir", cache]
    sys.argv += ["--instance_prompt", ""] if "dreambooth" in path else []
    from accelerate import PartialState

    PartialState()
    script = import_module(Path(path).stem)
    script.args = script.parse_args(sys.argv[1:]) if "controlnet" in path else script.parse_args()
    kinds = {"dreambooth": dreambooth, "controlnet": controlnet, "text_to_image": text_to_image}
    told(next(kind for name, kind in kinds.items() if f"/{name}/" in path)(script))


main()
