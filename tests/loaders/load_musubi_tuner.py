"""musubi-tuner's own data set code on an export: prints what it would train, as JSON.

python load_musubi_tuner.py CHECKOUT CONFIG.toml ARCHITECTURE
"""

import argparse
import sys
from pathlib import Path

from standins import told, use_checkout


def main() -> None:
    checkout, config, architecture = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    use_checkout(checkout / "src")
    sys.path.insert(0, str(checkout.parent / "packages"))
    from musubi_tuner.dataset import config_utils

    generator = config_utils.BlueprintGenerator(config_utils.ConfigSanitizer())
    settings = config_utils.load_user_config(config)
    blueprint = generator.generate(settings, argparse.Namespace(), architecture=architecture)
    group = config_utils.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    found = []
    for dataset in group.datasets:
        for _, batch in dataset.retrieve_latent_cache_batches(num_workers=1):
            for item in batch:
                *_, height, width, _ = item.content.shape
                frames = item.content.shape[0] if item.content.ndim == 4 else 1
                controls = (
                    [list(one.shape[1::-1]) for one in item.control_content or []]
                    if frames == 1
                    else item.control_content is not None
                )
                found.append([item.item_key, item.caption, width, height, frames, controls, dataset.num_repeats])
    told(found)


main()
