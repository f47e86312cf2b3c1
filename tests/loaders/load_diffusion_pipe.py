"""diffusion-pipe's own data set code on an export: prints what it would train, as JSON.

python load_diffusion_pipe.py CHECKOUT CONFIG.toml CACHE
"""

import sys
from pathlib import Path

from standins import told, use_checkout


def main() -> None:
    checkout, config, cache = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    use_checkout(checkout, "deepspeed", "diffusers", "accelerate", "transformers", "peft", "comfy", "comfy_api", "imageio", "multiprocess", "wandb", "safetensors", "optimum", "utils.patches", "utils.offloading", "utils.unsloth_utils", "models.base")  # fmt: skip
    import toml
    import utils.common

    utils.common.is_main_process = lambda: True
    from utils import dataset as code

    code.is_main_process = lambda: True
    settings = toml.load(config)
    found = []
    for directory in settings["directory"]:
        one = code.DirectoryDataset(directory, settings, "test", framerate=None)
        one.cache_dir = cache
        for row in one._get_ungrouped_metadata():
            found.append([row["image_spec"][1], row["caption"][0], row["ar_bucket"], row["size_bucket"]])
    told(found)


main()
