"""What the losses of a training are computed against: values, and the weight of each sample and tag.

Belongs here: making these from a job, for heads and backbones alike. Does not belong here: the losses (``losses.py``).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from arot_assets.classifiers.trainers import Job
from arot_assets.classifiers.trainers.losses import positive_weights, sample_weights
from arot_assets.classifiers.trainers.scale import Scale, scale_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Aims:
    """The aims of one training.

    Attributes:
        scale: of the values, from the training samples.
        values: standardised, a row a sample.
        weights: float32 [samples]; 0 outside training and validation.
        pos_weight: float32 [tags], the weight of a tag where it is set; None where tags are not balanced.
    """

    scale: Scale
    values: "torch.Tensor"
    weights: "torch.Tensor"
    pos_weight: "torch.Tensor | None"


def aims_of(job: Job, balanced: bool) -> Aims:
    """The aims of a job.

    Args:
        job: with its targets and split.
        balanced: whether rare classes, or rare tags, weigh as much as frequent ones.
    """
    import torch

    scale = scale_of(job.task, job.targets[job.train])
    weights = np.zeros(len(job.targets.weights), np.float32)
    for rows in (job.train, job.val):
        part = job.targets[rows]
        weights[rows] = sample_weights(job.task, part.values, part.weights, balanced)
    tags = job.task.kind == "multi_label" and balanced
    return Aims(
        scale,
        torch.from_numpy(scale.standardised(job.targets.values)),
        torch.from_numpy(weights),
        torch.from_numpy(positive_weights(job.targets.values[job.train])) if tags else None,
    )
