"""The card of a published model: what it is, how it was judged, what it must not be used for, from its own metadata.

Belongs here: the text. Does not belong here: the files beside it (``model_repository.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from arot_assets.classifiers.evaluation import Evaluation
from arot_assets.classifiers.report import figure_rows, slice_rows
from arot_assets.local_paths import LocalPaths
from arot_assets.markdown import write_table
from resources.models.entry import ModelEntry

KNOWN_LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "openrail",
    "openrail++",
)
TASKS = {"classification": "image-classification", "multi_label": "image-classification"}


def model_card(
    entry: ModelEntry, about: Mapping[str, Any], evaluation: Evaluation, repo: str, files: Sequence[str]
) -> str:
    """The content of ``README.md``.

    Args:
        entry: of the model.
        about: facts about the training.
        evaluation: on the test set.
        repo: where it is published.
        files: beside the card.
    """
    licence = entry.licence.lower()
    matter: dict[str, Any] = {"license": licence if licence in KNOWN_LICENCES else "other"}
    if matter["license"] == "other":
        matter["license_name"] = entry.licence.lower().replace(" ", "-")
    matter["library_name"] = {"timm": "timm", "transformers_image": "transformers"}.get(entry.family, "safetensors")
    if about["task"] in TASKS and entry.family != "head":
        matter["pipeline_tag"] = TASKS[about["task"]]
    matter["tags"] = [about["task"].replace("_", "-"), *(["embedding-head"] if entry.family == "head" else [])]
    name = repo.split("/")[-1]
    sections = [
        f"# {name}\n\n{about['description'] or entry.description}",
        f"## Use\n\n{_use(entry, repo)}",
        f"## Figures\n\n{_figures(evaluation)}",
        f"## Slices\n\n{_table(slice_rows(evaluation))}" if evaluation.slices else "",
        f"## Classes\n\n{_table(evaluation.by_class)}" if evaluation.by_class else "",
        f"## Limits\n\n{_limits(entry, about, evaluation)}",
        f"## Training\n\n{_training(entry, about)}",
        f"## Files\n\n{', '.join(f'`{file}`' for file in files)}",
    ]
    front = yaml.safe_dump(matter, sort_keys=False)
    text = "\n\n".join(part for part in sections if part)
    return f"---\n{front}---\n\n{LocalPaths().removed(text)}\n"


def _use(entry: ModelEntry, repo: str) -> str:
    if entry.family == "timm":
        code = f'import timm\n\nmodel = timm.create_model("hf-hub:{repo}", pretrained=True).eval()'
    elif entry.family == "transformers_image":
        code = (
            "from transformers import AutoImageProcessor, AutoModelForImageClassification\n\n"
            f'processor = AutoImageProcessor.from_pretrained("{repo}")\n'
            f'model = AutoModelForImageClassification.from_pretrained("{repo}")'
        )
    else:
        return (
            "`python example.py VECTORS.npy`: a head over stored embeddings, `[N, D]`; `head.json` says of which model and "
            "revision. It needs torch and safetensors alone."
        )
    return f"```python\n{code}\n```"


def _figures(evaluation: Evaluation) -> str:
    return (
        f"On {evaluation.samples:,} test samples in {evaluation.groups:,} groups of near duplicates, of which none was trained "
        f"on; with 95 % intervals by bootstrap over groups, beside baselines.\n\n{_table(figure_rows(evaluation))}"
    )


def _limits(entry: ModelEntry, about: Mapping[str, Any], evaluation: Evaluation) -> str:
    small = sorted({f"{one.name} {one.value}" for one in evaluation.slices if one.is_small})
    lines = [
        f"It was trained on samples of one dataset, `{about['dataset']}`; other images may be judged otherwise.",
        f"Licence: {entry.licence}, of what it was trained from." + (f" {entry.use}." if entry.use else ""),
    ]
    if small:
        lines.append(f"Too few test samples to say anything of: {', '.join(small)}.")
    if evaluation.calibration is not None:
        lines.append(
            f"Expected calibration error {evaluation.calibration.after:.3f}, after a temperature of "
            f"{evaluation.calibration.temperature:.3f}, which is part of the weights."
        )
    if about["not_promoted"]:
        lines.append(f"It was not promoted: {about['not_promoted']}.")
    return "\n".join(f"- {line}" for line in lines)


def _training(entry: ModelEntry, about: Mapping[str, Any]) -> str:
    rows = {
        "model": about["digest"],
        "task": about["task"],
        "classes": ", ".join(about["classes"]) or "a number",
        "inputs": ", ".join(about["inputs"]),
        "versions of inputs": ", ".join(f"{k} {v}" for k, v in about["input_versions"].items()) or "images",
        "labels": about["labels_digest"],
        "samples": ", ".join(f"{k} {v:,}" for k, v in about["samples"].items()),
        "recipe": f"{about['recipe']}: {about['recipe_source']}",
        "chosen": ", ".join(f"{k} {v}" for k, v in about["chosen"].items()),
        "parameters": f"{entry.parameters:,}",
        "trained at": about["created_at"],
    }
    return write_table(("what", "value"), rows.items())


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    shown = ((f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows)
    return write_table(tuple(map(str, rows[0])), (tuple(row) for row in shown))
