"""LTX-Video-Trainer's own data set code on an export: prints what it would train, as JSON.

python load_ltx_video_trainer.py CHECKOUT DATASET.jsonl BUCKETS.txt

It joins clips, captions and references by the names that it writes them under (``process_videos.py``, ``process_captions.py``).
The last column is the shape of the reference: frames, height, width; null without.
"""

import sys
from pathlib import Path
from unittest.mock import MagicMock

from standins import told, use_checkout


def main() -> None:
    checkout, dataset, buckets = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text().strip()
    use_checkout(checkout, "optimum", "ltxv_trainer.ltxv_utils", "ltxv_trainer.model_loader")
    sys.path[:0] = [str(checkout / "src"), str(checkout.parent / "packages")]
    import ltxv_trainer.model_loader

    ltxv_trainer.model_loader.LtxvModelVersion = MagicMock()  # named as the default of an option
    from scripts.process_captions import CaptionsDataset
    from scripts.process_videos import MediaDataset, parse_resolution_buckets

    sizes = parse_resolution_buckets(buckets)
    assert len(sizes) == 1, "it stops at more than one bucket"
    captions = CaptionsDataset(dataset, "caption", "video")
    by_output = {Path(c["output_path"]): c["prompt"] for c in (captions[n] for n in range(len(captions)))}
    references = {}
    if '"reference_video"' in Path(dataset).read_text():
        guides = MediaDataset(dataset, "video", "reference_video", sizes)
        for guide in (guides[n] for n in range(len(guides))):
            frames, _, height, width = guide["video"].shape
            references[guide["main_media_relative_path"]] = [frames, height, width]
    clips, found = MediaDataset(dataset, "video", "video", sizes), []
    for clip in (clips[n] for n in range(len(clips))):
        path, shape = clip["main_media_relative_path"], clip["video_metadata"]
        caption = by_output[Path(path).with_suffix(".pt")]
        found.append([path, caption, shape["width"], shape["height"], shape["num_frames"], references.get(path)])
    told(found)


main()
