"""LTX-2's own data set code on an export: prints what it would train, as JSON.

python load_ltx2.py CHECKOUT DATASET.jsonl BUCKETS.txt

Columns, captions, frames and crops are its own (``process_dataset.py``, ``process_captions.py``, ``process_videos.py``); the encoders
that follow are left out. A sample is one whose clip and whose caption are written under one name. The last two columns are the size of
its reference and the path of its mask; null without.
"""

import sys
from pathlib import Path

from standins import told, use_checkout


def main() -> None:
    checkout, dataset, buckets = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]).read_text().strip()
    packages = checkout / "packages"
    use_checkout(packages / "ltx-trainer" / "scripts", "torchaudio", "accelerate", "decode_latents", "ltx_core.model", "ltx_core.text_encoders", "ltx_core.loader", "ltx_trainer.model_loader", "ltx_trainer.gpu_utils", "ltx_trainer.quantization")  # fmt: skip
    sys.path[:0] = [str(checkout.parent / "packages")]
    sys.path[:0] = [str(packages / name / "src") for name in ("ltx-core", "ltx-trainer")]
    import process_captions
    import process_dataset
    import process_videos

    process_dataset._validate_dataset_file(str(dataset))
    roles = process_dataset._resolve_columns(process_videos.detect_dataset_columns(dataset))
    sizes = process_videos.parse_resolution_buckets(buckets)
    captions = process_captions.CaptionsDataset(dataset, roles["caption"], roles["video"])
    by_output = {Path(c["output_path"]): c["prompt"] for c in (captions[n] for n in range(len(captions)))}
    clips = process_videos.MediaDataset(dataset, roles["video"], roles["video"], sizes)
    references, masks = {}, {}
    if "reference_video" in roles:
        guides = process_videos.MediaDataset(dataset, roles["video"], roles["reference_video"], sizes)
        for guide in (guides[n] for n in range(len(guides))):
            references[guide["main_media_relative_path"]] = list(guide["video"].shape[1:])
    if "video_mask" in roles:
        paths = [process_videos._load_paths_from_dataset(dataset, roles[r]) for r in ("video", "video_mask")]
        masks = {str(a.relative_to(dataset.parent)): str(b.relative_to(dataset.parent)) for a, b in zip(*paths, strict=True) if b.is_file()}  # fmt: skip
    found = []
    for clip in (clips[n] for n in range(len(clips))):
        path, shape = clip["main_media_relative_path"], clip["video_metadata"]
        caption = by_output[Path(path).with_suffix(".pt")]
        found.append([path, caption, shape["width"], shape["height"], shape["num_frames"], references.get(path), masks.get(path)])  # fmt: skip
    told(found)


main()
