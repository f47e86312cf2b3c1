"""diffusion-pipe's own data set code on an export: prints what it would train, as JSON.

python load_diffusion_pipe.py CHECKOUT CONFIG.toml CACHE [FPS]

``FPS`` is the model's. ComfyUI, a submodule of the checkout, reads the headers of clips for it; the stand-in here reads the same fields.
"""

import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

from standins import told, use_checkout


class VideoFromFile:
    """The size, number of frames and rate that a clip's header tells."""

    def __init__(self, file: str) -> None:
        import av

        with av.open(file) as container:
            stream = container.streams.video[0]
            self._size = stream.width, stream.height
            self._frames, self._rate = stream.frames, stream.average_rate

    def get_dimensions(self) -> tuple[int, int]:
        return self._size

    def get_frame_count(self) -> int:
        return self._frames

    def get_frame_rate(self) -> Fraction | None:
        return self._rate


def main() -> None:
    checkout, config, cache = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    framerate = float(sys.argv[4]) if len(sys.argv) > 4 else None
    use_checkout(checkout, "deepspeed", "diffusers", "accelerate", "transformers", "peft", "comfy", "comfy_api", "imageio", "multiprocess", "wandb", "safetensors", "optimum", "utils.patches", "utils.offloading", "utils.unsloth_utils", "models.base")  # fmt: skip
    import toml
    import utils.common

    utils.common.is_main_process = lambda: True
    from utils import dataset as code

    code.is_main_process = lambda: True
    code.InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile)
    settings = toml.load(config)
    found = []
    for directory in settings["directory"]:
        one = code.DirectoryDataset(directory, settings, "test", framerate=framerate)
        one.cache_dir = cache
        for row in one._get_ungrouped_metadata():
            found.append(
                [
                    row["image_spec"][1],
                    row["caption"][0],
                    row["ar_bucket"],
                    row["size_bucket"],
                    row["mask_file"],
                    row.get("control_file"),
                    directory["num_repeats"],
                ]
            )
    told(found)


main()
