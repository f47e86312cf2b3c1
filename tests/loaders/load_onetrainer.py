"""OneTrainer's own data set code on an export: prints what it would train in one epoch, as JSON.

python load_onetrainer.py CHECKOUT CONCEPTS.json RESOLUTION BATCH_SIZE

Its pipeline from the folder to the cropped picture is the checkout's; encoders, which come after it, are left out. ``mgds``, which
holds the pipeline's modules, is a checkout beside it.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from standins import told, use_checkout


def main() -> None:
    checkout, concepts, resolution, batch_size = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    use_checkout(checkout, "diffusers", "accelerate", "peft", "modules.model.BaseModel", "modules.modelSetup", "modules.util.quantization_util", "modules.module")  # fmt: skip
    sys.path.insert(0, str(checkout.parent / "mgds" / "src"))
    from modules.dataLoader.BaseDataLoader import BaseDataLoader
    from modules.dataLoader.mixin.DataLoaderText2ImageMixin import DataLoaderText2ImageMixin
    from modules.util.config.TrainConfig import TrainConfig
    from modules.util.enum.DataType import DataType
    from modules.util.TrainProgress import TrainProgress

    folders = [Path(one["path"]) for one in json.loads(Path(concepts).read_text())]
    masked = any(next(folder.glob("*-masklabel.png"), None) for folder in folders)
    kept = [*(["mask"] if masked else []), "image_path", "image", "prompt", "crop_resolution", "concept"]

    class Pictures(BaseDataLoader, DataLoaderText2ImageMixin):
        """Stops before the encoders: gives pictures and texts."""

        def _preparation_modules(self, config: Any, model: Any) -> list[Any]:
            return []

        def _debug_modules(self, config: Any, model: Any) -> list[Any]:
            return []

        def _cache_modules(self, config: Any, model: Any, model_setup: Any) -> list[Any]:
            return self._cache_modules_from_names(model, model_setup, [], [], [], kept, config, text_caching=False)

        def _output_modules(self, config: Any, model: Any, model_setup: Any) -> list[Any]:
            names = [n for n in kept if n != "concept"]
            return self._output_modules_from_out_names(model, model_setup, names, config, train_dtype=DataType.FLOAT_32)

        def _create_dataset(
            self, config: Any, model: Any, model_setup: Any, train_progress: Any, is_validation: bool = False
        ) -> Any:
            return DataLoaderText2ImageMixin._create_dataset(
                self, config, model, model_setup, train_progress, is_validation, aspect_bucketing_quantization=64
            )

    config = TrainConfig.default_values()
    config.concept_file_name, config.resolution, config.batch_size = concepts, resolution, batch_size
    config.aspect_ratio_bucketing, config.latent_caching, config.train_device = True, False, "cpu"
    config.dataloader_threads, config.multi_gpu, config.validation, config.debug_mode = 1, False, False, False
    config.masked_training = masked
    model = SimpleNamespace(train_dtype=DataType.FLOAT_32, model_type=config.model_type)
    loader = Pictures("cpu", "cpu", config, model, None, TrainProgress())
    loader.get_data_set().start_next_epoch()
    found = []
    for batch in loader.get_data_loader():
        for n, path in enumerate(batch["image_path"]):
            height, width = batch["image"][n].shape[-2:]
            assert [height, width] == [int(side[n]) for side in batch["crop_resolution"]], path
            mask = batch["mask"][n].mean(dim=(0, 1)).tolist() if masked else None
            found.append([path, batch["prompt"][n], width, height, mask])
    told(found)


main()
