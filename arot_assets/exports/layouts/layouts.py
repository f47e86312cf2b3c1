"""All layouts by name."""

from collections.abc import Mapping

from arot_assets.exports.layouts import (
    diffusion_pipe_json,
    hf,
    kohya_jsonl,
    ltx,
    musubi_jsonl,
    pairs,
    simpletuner_parquet,
    webdataset,
)
from arot_assets.exports.layouts.layout import Layout

LAYOUTS: Mapping[str, Layout] = {
    "pairs": pairs,
    "hf": hf,
    "ltx": ltx,
    "kohya_jsonl": kohya_jsonl,
    "musubi_jsonl": musubi_jsonl,
    "simpletuner_parquet": simpletuner_parquet,
    "diffusion_pipe_json": diffusion_pipe_json,
    "webdataset": webdataset,
}
