"""ai-toolkit's own data set code on an export: prints what it would train, as JSON.

python load_ai_toolkit.py CHECKOUT CONFIG.yaml DIVISIBILITY [REFERENCE CLIPS]

The last argument is 1 for a model that takes clips as controls. The last column has the paths of the controls.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

from standins import told, use_checkout


def main() -> None:
    checkout, config, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    use_checkout(
        checkout, "diffusers", "accelerate", "transformers", "albumentations", "lycoris", "optimum", "peft", "torchao", "oyaml", "einops", "controlnet_aux", "k_diffusion", "lpips", "pytorch_fid", "invisible_watermark", "flatten_json", "prodigyopt", "torchaudio", "torchcodec", "dotenv", "kornia", "bitsandbytes", "jobs", "toolkit.stable_diffusion_model", "toolkit.control_generator", "toolkit.models", "toolkit.print"
    )  # fmt: skip
    import yaml
    from toolkit.config_modules import DatasetConfig, preprocess_dataset_raw_config
    from toolkit.data_loader import AiToolkitDataset

    process = yaml.safe_load(Path(config).read_text())["config"]["process"][0]
    model = SimpleNamespace(
        get_bucket_divisibility=lambda: step, use_raw_control_images=False, is_flux=False, arch="sdxl", te_padding_side="right",
        model_config=SimpleNamespace(arch="sdxl", latent_space_version="sdxl"), vae=None, unet=None, text_embedding_space_version="sdxl", text_encoder=None, tokenizer=None, adapter=None, device_torch="cpu", encode_control_in_text_embeddings=False,
    )  # fmt: skip
    model.supports_video_control_images = sys.argv[4:] == ["1"]
    found = []
    for raw in preprocess_dataset_raw_config(process["datasets"]):
        raw["cache_latents_to_disk"] = False
        dataset = AiToolkitDataset(DatasetConfig(**raw), batch_size=process["train"]["batch_size"], sd=model)
        for item in {id(i): i for i in dataset.file_list}.values():
            item.load_caption()
            if not hasattr(item, "control_video_paths"):
                item.control_video_paths = None
            found.append(
                [
                    item.path,
                    item.caption,
                    item.crop_width,
                    item.crop_height,
                    item.scale_to_width,
                    item.scale_to_height,
                    item.num_frames,
                    item.mask_path,
                    [item.control_path]
                    if isinstance(item.control_path, str)
                    else item.control_path or item.control_video_paths or [],
                ]
            )
    told(found)


main()
