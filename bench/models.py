"""How far is the pass from what a model can do? The model alone, decoding alone, both at once and a plain loop.

Belongs here: the rounds, the ratios and the report. Does not belong here: the images (``photo_sets.py``), and any model: they are
of the catalogue, or have random weights, which cost as much as trained ones.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photo_sets import photo_set
from results import append

from arot_assets.markdown import write_table
from arot_assets.media.file import Limits
from arot_assets.media.image.decode import decode
from arot_assets.media.image.medium import IMAGE
from arot_assets.metrics.memory import memory_limit
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.of_entry import metric_of
from arot_assets.metrics.one_pass import Item, MeasurementFailure, one_pass
from resources.memory import settle_freed_memory
from resources.models import Models
from resources.models.entries import find_entry
from resources.models.entry import ModelEntry, Preprocessing, Store
from resources.models.outputs import Embedding, Tags
from resources.models.runner import DEVICE_LOAD, Runner
from resources.models.which_family import family_of
from resources.parallel import default_threads, ordered_map

ROOT = Path(__file__).parents[1]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EPILOG = """
what is timed, in images per second, medians of interleaved rounds:
  network      one batch again and again, to the device and back: no pass can be faster
  model        the runner over prepared inputs: batches are collected too; from as many threads as the pass has for it
  decode       read, decode and prepare in threads, no model
  pass         the real pass: read, decode, prepare, model, rows
  plain        what a notebook does on the CPU: Pillow, the model card's own pipeline, one image after the other, torch with as
               many threads as it takes by itself (``--plain``)
  plain, workers  the same by a worker a core, each with one thread of torch
The CPU time of an image is that of the whole process.

models: names of the catalogue, or random weights of real architectures:
  clip_l14        open_clip's ViT-L-14-quickgelu at 224, the centre of the shorter side
  wd_vit          the WD tagger's ViT-B/16 at 448, a white square, BGR, 10,861 tags
  wd_vit_large    its ViT-L/16
  wd_eva02_large  its EVA02-L/14
  wd_swinv2       its SwinV2-B

examples:
  python bench/models.py                    all on a GPU, float32 and bfloat16; adds a section to bench/RESULTS.md
  python bench/models.py --models clip_l14 --precisions bfloat16 --batches 32 128 --no-record
  python bench/models.py --device cpu --models efficientnet_lite0 --precisions float32 --images 128 --plain
"""


@dataclass(frozen=True)
class Architecture:
    """A network of the benchmark: its family's name for it, its arguments, its input and what is kept of it."""

    name: str
    arguments: dict[str, Any]
    how: Preprocessing | None
    output: Embedding | Tags
    family: str = "timm"


WHITE_SQUARE = Preprocessing(448, "pad", (0.5,) * 3, (0.5,) * 3, channels="BGR", colour=(255, 255, 255))
TAGS = Embedding("embedding", size=10861, of="logits", meaning="random")
ARCHITECTURES = {
    "clip_l14": Architecture(
        "ViT-L-14-quickgelu", {}, None, Embedding("embedding", size=768, meaning="random"), "clip"
    ),
    "wd_vit": Architecture("vit_base_patch16_224", {"img_size": 448, "num_classes": 10861}, WHITE_SQUARE, TAGS),
    "wd_vit_large": Architecture("vit_large_patch16_224", {"img_size": 448, "num_classes": 10861}, WHITE_SQUARE, TAGS),
    "wd_eva02_large": Architecture(
        "eva02_large_patch14_448", {"img_size": 448, "num_classes": 10861}, WHITE_SQUARE, TAGS
    ),
    "wd_swinv2": Architecture(
        "swinv2_base_window8_256", {"img_size": 448, "window_size": 14, "num_classes": 10861}, WHITE_SQUARE, TAGS
    ),
}


def entry_of(name: str, folder: Path) -> ModelEntry:
    """An entry with random weights in a folder."""
    import torch
    from safetensors.torch import save_file

    known = ARCHITECTURES[name]
    torch.manual_seed(0)
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # random numbers by the hundred million
        if known.family == "clip":
            import open_clip

            config = open_clip.get_model_config(known.name)
            module: torch.nn.Module = open_clip.CLIP(**config)
            said = {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"}
            (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": said}))
            file = place / "open_clip_model.safetensors"
        else:
            import timm

            module = timm.create_model(known.name, pretrained=False, **known.arguments)
            file = place / "model.safetensors"
    save_file({tensor: value.contiguous().cpu() for tensor, value in module.state_dict().items()}, file)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}
    return ModelEntry(
        name=f"random_{name}",
        family=known.family,
        weights=Store(str(place), files),
        outputs=(known.output,),
        licence="none",
        parameters=sum(p.numel() for p in module.parameters()),
        reference="none",
        preprocessing=known.how,
        precision="float16",
        options={"architecture": known.name, "arguments": known.arguments} if known.family == "timm" else {},
    )


def network_rate(runner: Runner, inputs: Sequence[Any], count: int) -> float:
    """Images per second of the network on one and the same batch."""
    import numpy as np

    batch = np.stack([inputs[n % len(inputs)] for n in range(runner.batch_size)])
    rounds = max(1, count // len(batch))
    start = time.perf_counter()
    for _ in range(rounds):
        runner.network.predict(batch)
    return rounds * len(batch) / (time.perf_counter() - start)


def model_rate(runner: Runner, inputs: Sequence[Any], count: int) -> float:
    """Images per second of the runner, from inputs in memory to arrays in memory."""
    start = time.perf_counter()

    def one(first: int) -> None:
        runner.predict([inputs[n % len(inputs)] for n in range(first, min(count, first + runner.batch_size))])

    with ThreadPoolExecutor(runner.at_once) as pool:
        list(pool.map(one, range(0, count, runner.batch_size)))
    return count / (time.perf_counter() - start)


def decode_rate(runner: Runner, files: Sequence[bytes], count: int) -> float:
    """Images per second of decoding and preparing in threads."""
    start = time.perf_counter()
    for _ in ordered_map(lambda n: runner.prepare(decode(files[n % len(files)])), range(count)):
        continue
    return count / (time.perf_counter() - start)


def pass_rate(runner: Runner, metric: Metric, files: Sequence[bytes], count: int) -> float:
    """Images per second of the real pass.

    Raises:
        SystemExit: an image failed.
    """
    items = [Item(f"{n:032x}", str(n % len(files)), frozenset([metric.name]), {}) for n in range(count)]
    start = time.perf_counter()
    cells = one_pass(
        items,
        {metric.name: metric},
        lambda uri: files[int(uri)],
        {runner.entry.name: runner},
        medium=IMAGE,
        limits=Limits(),
    )
    failed = [cell for cell in cells if isinstance(cell.result, MeasurementFailure)]
    spent = time.perf_counter() - start
    if failed:
        raise SystemExit(f"{len(failed)} of {count} images failed: {failed[0].result}")
    return count / spent


def plain_rate(run: Callable[[Any], Any], files: Sequence[bytes], count: int, threads: int, workers: int) -> float:
    """Images per second of the model card's own pipeline over Pillow.

    Args:
        run: the pipeline.
        files: JPEG.
        count: images.
        threads: of torch.
        workers: that run the pipeline, each one image after the other.
    """
    from io import BytesIO

    import torch
    from PIL import Image

    def one(n: int) -> None:
        run(Image.open(BytesIO(files[n % len(files)])).convert("RGB"))

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, range(workers)))
        start = time.perf_counter()
        list(pool.map(one, range(count)))
        spent = time.perf_counter() - start
    torch.set_num_threads(before)
    return count / spent


def measure(
    entry: ModelEntry, settings: dict[str, Any], files: Sequence[bytes], count: int, rounds: int, plain: bool
) -> dict[str, float]:
    """The median rates of one model with some settings of the resource."""
    import torch

    default = torch.get_num_threads()
    models = Models(**settings)
    runner = models.load(entry)
    settle_freed_memory(memory_limit(), default_threads())  # as the pass does
    inputs = [runner.prepare(decode(data)) for data in files]
    metric = metric_of(entry)
    runner.predict(inputs[: runner.batch_size])  # kernels are chosen at the first batch
    ways: dict[str, Callable[[], float]] = {
        "network": lambda: network_rate(runner, inputs, count),
        "model": lambda: model_rate(runner, inputs, count),
        "decode": lambda: decode_rate(runner, files, count),
        "pass": lambda: pass_rate(runner, metric, files, count),
    }
    if plain:
        run, cores = family_of(entry).reference(entry, models.files.verified(entry)), default_threads()
        ways["plain"] = lambda: plain_rate(run, files, count, default, 1)
        ways["plain, workers"] = lambda: plain_rate(run, files, count, 1, cores)
    found: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    busy: list[float] = []
    for _ in range(rounds):
        for way, rate in ways.items():
            before, spent = runner.usage, time.process_time()
            found[way].append(rate())
            cpu[way].append(1000 * (time.process_time() - spent) / count)
            if way == "pass" and DEVICE_LOAD in (said := runner.report(before)):
                busy.append(said[DEVICE_LOAD])
    rates = {way: statistics.median(rates) for way, rates in found.items()}
    rates |= {f"{way}, CPU ms an image": statistics.median(one) for way, one in cpu.items()}
    return rates | ({"GPU busy in the pass, %": statistics.median(busy)} if busy else {})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[0], help="images per batch; 0: the default")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=2048, help="images of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="a plain loop on the CPU too")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "arot-bench")
    parser.add_argument("--no-record", action="store_true", help="leave bench/RESULTS.md alone")
    asked = parser.parse_args()
    files = [f.read_bytes() for f in photo_set("A", ROOT / "examples" / "images" / "photo", asked.work)]
    rows = []
    for name in asked.models:
        entry = entry_of(name, asked.work / "weights") if name in ARCHITECTURES else find_entry(name)
        for precision in asked.precisions:
            for batch in asked.batches:
                settings = {"device": asked.device, "precision": precision, "batch_size": batch}
                rates = measure(entry, settings, files, asked.images, asked.rounds, asked.plain)
                limit = min(rates["model"], rates["decode"])
                row = {
                    "name": name,
                    "precision": precision,
                    "batch": batch or "default",
                    **{way: f"{rate:,.{1 if 'CPU' in way else 0}f}" for way, rate in rates.items()},
                    "pass / model": f"{rates['pass'] / rates['model']:.0%}",
                    "pass / slower of both": f"{rates['pass'] / limit:.0%}",
                }
                if asked.plain:
                    row["pass / plain"] = f"{rates['pass'] / rates['plain']:.2f}"
                    row["pass / plain, workers"] = f"{rates['pass'] / rates['plain, workers']:.2f}"
                    of_cpu = rates["plain, workers, CPU ms an image"] / rates["pass, CPU ms an image"]
                    row["CPU of plain, workers / pass"] = f"{of_cpu:.2f}"
                print(json.dumps(row), flush=True)
                rows.append(row)
    table = write_table(list(rows[0]), [list(row.values()) for row in rows])
    print(table)
    if not asked.no_record:
        device = asked.device
        if device.startswith("cuda"):
            import torch

            device = torch.cuda.get_device_name()
        said = f"{device}, {default_threads()} threads, JPEG of 1.6 MP, images per second; see `python bench/models.py --help`."
        text = f"{said}\n\n{table}"
        print(f"added to {append('Models in the pass', text)}")


if __name__ == "__main__":
    main()
