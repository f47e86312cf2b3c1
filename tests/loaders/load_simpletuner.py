"""SimpleTuner's own data set code on an export: prints what it would train, as JSON.

python load_simpletuner.py CHECKOUT CONFIG.json CACHE ALIGNMENT

Its discovery, buckets, captions, crops and pairing with companions are the checkout's; models, and the cache of latents that
follows, are left out. The last column has, for each of a sample's conditioning backends, the kind, the path, the caption, the size
and the mean of the left and the right half.
"""

import json
import queue
import sys
from pathlib import Path
from types import SimpleNamespace

from PIL import ImageStat
from standins import told, use_checkout


def main() -> None:
    checkout, config, cache, alignment = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    use_checkout(checkout, "diffusers", "accelerate", "peft", "wandb", "simpletuner.helpers.models", "simpletuner.helpers.image_manipulation.cropping_face", "simpletuner.simpletuner_sdk", "simpletuner.helpers.distillation", "simpletuner.helpers.logging", "simpletuner.helpers.webhooks", "simpletuner.helpers.data_backend.runtime.context_parallel_sync", "simpletuner.helpers.image_manipulation.batched_training_samples", "simpletuner.helpers.training.diffusers_overrides")  # fmt: skip
    from accelerate import PartialState
    from simpletuner.helpers.data_backend.local import LocalDataBackend
    from simpletuner.helpers.image_manipulation.training_sample import TrainingSample
    from simpletuner.helpers.metadata.backends import base
    from simpletuner.helpers.metadata.backends.discovery import DiscoveryMetadataBackend
    from simpletuner.helpers.metadata.backends.parquet import ParquetMetadataBackend
    from simpletuner.helpers.metadata.utils.duplicator import DatasetDuplicator
    from simpletuner.helpers.multiaspect.sampler import MultiAspectSampler
    from simpletuner.helpers.prompts import PromptHandler
    from simpletuner.helpers.training.state_tracker import StateTracker

    # its workers are threads here; a queue between processes can still be empty when its writer has ended, and it then loses samples
    base.Queue = queue.Queue
    cache.mkdir(parents=True, exist_ok=True)
    arguments = SimpleNamespace(
        output_dir=str(cache), aspect_bucket_alignment=alignment, aspect_bucket_rounding=2, aspect_bucket_worker_count=1, enable_multiprocessing=False,
        model_type="lora", train_batch_size=1, metadata_update_interval=3600, print_filenames=False, print_sampler_statistics=False, debug_aspect_buckets=False,
        allow_dataset_oversubscription=False, gradient_accumulation_steps=1, framerate=24, vae_batch_size=1,
    )  # fmt: skip
    StateTracker.set_args(arguments)
    PartialState()
    accelerator = SimpleNamespace(is_main_process=True, is_local_main_process=True, num_processes=1, process_index=0, device="cpu")  # fmt: skip
    found, prepared = [], {}
    model = SimpleNamespace(get_transforms=lambda: None, MAXIMUM_CANVAS_SIZE=None)
    for backend in json.loads(Path(config).read_text()):
        if backend["dataset_type"] not in ("image", "video", "conditioning"):
            continue
        clips = backend.get("video", {})
        name, parquet = backend["id"], backend.get("parquet")
        if backend["resolution_type"] == "pixel_area":  # its factory's _handle_resolution_conversion
            backend |= {"resolution": backend["resolution"] ** 2 / 1000**2, "resolution_type": "area"}
        StateTracker.set_data_backend_config(name, backend)
        files = LocalDataBackend(accelerator=accelerator, id=name)
        kind, further = (ParquetMetadataBackend, {"parquet_config": parquet}) if parquet else (DiscoveryMetadataBackend, {})  # fmt: skip
        index = kind(
            id=name, instance_data_dir=backend["instance_data_dir"], cache_file=str(cache / f"buckets_{name}"), metadata_file=str(cache / f"metadata_{name}"),
            data_backend=files, accelerator=accelerator, batch_size=1, resolution=backend["resolution"], resolution_type=backend["resolution_type"],
            minimum_image_size=backend["minimum_image_size"], repeats=backend["repeats"],
            minimum_num_frames=clips.get("min_frames"), num_frames=clips.get("num_frames"), **further,
        )  # fmt: skip
        StateTracker.data_backends[name] |= {"id": name, "dataset_type": backend["dataset_type"], "data_backend": files, "metadata_backend": index, "instance_data_dir": backend["instance_data_dir"]}  # fmt: skip
        if parquet:
            import pandas

            StateTracker.set_parquet_database(name, (pandas.read_parquet(parquet["path"]), parquet["filename_column"], parquet["caption_column"], None, True))  # fmt: skip
        if backend.get("conditioning_type") in ("mask", "reference_strict"):  # its factory's _handle_bucket_operations
            DatasetDuplicator.copy_metadata(StateTracker.get_data_backend(backend["source_dataset_id"]), StateTracker.get_data_backend(name))  # fmt: skip
        else:
            index.compute_aspect_ratio_bucket_indices()
        StateTracker.data_backends[name]["sampler"] = MultiAspectSampler(
            id=name, metadata_backend=index, data_backend=files, model=model, accelerator=accelerator, batch_size=1, resolution=backend["resolution"],
            resolution_type=backend["resolution_type"], caption_strategy=backend["caption_strategy"], conditioning_type=backend.get("conditioning_type"),
            dataset_type=backend["dataset_type"], source_dataset_id=backend.get("source_dataset_id"),
        )  # fmt: skip
        if backend["dataset_type"] == "conditioning":
            continue
        for path in [p for paths in index.aspect_ratio_bucket_indices.values() for p in paths]:
            sample = TrainingSample(image=files.read_image(path), data_backend_id=name, image_metadata=index.get_metadata_by_filepath(path), image_path=path, model=model)  # fmt: skip
            picture = sample.prepare().image
            height, width, frames = (
                (*picture.shape[1:3], min(len(picture), clips["num_frames"])) if clips else (*picture.size[::-1], 1)
            )
            caption = PromptHandler.magic_prompt(
                image_path=path, use_captions=True, caption_strategy=backend["caption_strategy"], prepend_instance_prompt=False, data_backend=files, sampler_backend_id=name
            )  # fmt: skip
            prepared[path] = sample
            found.append([path, caption, width, height, index.repeats, frames, []])
    for backend in json.loads(Path(config).read_text()):
        if "conditioning_data" not in backend:
            continue
        StateTracker.set_conditioning_datasets(backend["id"], backend["conditioning_data"])
        sampler = StateTracker.get_data_backend(backend["id"])["sampler"]
        for row in (r for r in found if r[0].startswith(backend["instance_data_dir"] + "/")):
            _, *companions = sampler.connect_conditioning_samples(({"image_path": row[0]},))
            for one in companions:
                picture = one.prepare_like(prepared[row[0]]).image.convert("L")
                halves = [
                    picture.crop((start, 0, start + picture.width // 2, picture.height))
                    for start in (0, picture.width // 2)
                ]
                row[-1].append([one.conditioning_type, one.image_path(), one.caption, *picture.size, *(ImageStat.Stat(h).mean[0] for h in halves)])  # fmt: skip
    told(found)


main()
