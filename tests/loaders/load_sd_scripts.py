"""sd-scripts' own data set code on an export: prints what it would train, as JSON.

python load_sd_scripts.py CHECKOUT CONFIG.toml
"""

import argparse
import sys
from pathlib import Path

from standins import told, use_checkout


def main() -> None:
    checkout, config = Path(sys.argv[1]), sys.argv[2]
    use_checkout(checkout, "diffusers", "accelerate", "transformers", "bitsandbytes", "xformers", "wandb", "tensorboard", "ftfy", "library.model_util", "library.sai_model_spec", "library.deepspeed_utils", "library.huggingface_util", "library.hypernetwork", "library.custom_train_functions", "library.original_unet", "library.sdxl_original_unet", "library.lpw_stable_diffusion", "library.sdxl_lpw_stable_diffusion", "library.sdxl_model_util")  # fmt: skip
    # the only function of the module of models that the data set code calls; it is the checkout's own
    source = (checkout / "library" / "model_util.py").read_text()
    start = source.index("def make_bucket_resolutions")
    scope: dict = {}
    body = source[start:].split("\nif __name__", 1)[0]
    exec("import math\n" + body, scope)
    import library.model_util as model_util

    model_util.make_bucket_resolutions = scope["make_bucket_resolutions"]
    from library import config_util, strategy_base, strategy_sd, train_util  # noqa: F401

    strategy_base.LatentsCachingStrategy.set_strategy(strategy_sd.SdSdxlLatentsCachingStrategy(True, False, 1, False))
    arguments = argparse.Namespace(debug_dataset=False, prior_loss_weight=1.0, dataset_config=config, train_data_dir=None, in_json=None)  # fmt: skip
    sanitizer = config_util.ConfigSanitizer(True, True, "conditioning_data_dir" in Path(config).read_text(), True)
    blueprint = config_util.BlueprintGenerator(sanitizer).generate(config_util.load_user_config(config), arguments)
    groups = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    group = groups[0] if isinstance(groups, tuple) else groups
    found = []
    for dataset in group.datasets:
        dataset.make_buckets()
        for info in dataset.image_data.values():
            found.append(
                [
                    info.absolute_path,
                    info.caption,
                    *info.bucket_reso,
                    *info.resized_size,
                    info.num_repeats,
                    getattr(info, "cond_img_path", None),
                ]
            )
    told(found)


main()
