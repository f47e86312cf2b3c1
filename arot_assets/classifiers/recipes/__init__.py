"""How a model is trained, as data: a YAML file a recipe, with its source, and the settings that it may have.

Belongs here: the fields of settings, and reading recipes. Does not belong here: training (``trainers/``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arot_assets.classifiers.tasks import Loss
from arot_assets.errors import did_you_mean

FOLDER = Path(__file__).parent
Rate = Annotated[float, Field(gt=0)]


class CommonSettings(BaseModel):
    """What every trainer has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Annotated[Loss, Field(description="auto: the task's own")] = "auto"
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="of cross_entropy")] = 0.0
    huber_delta: Annotated[Rate, Field(description="of huber, in standard deviations of the target")] = 1.0
    balanced: Annotated[
        bool,
        Field(description="each class (or level) counts the same; for multi_label, positives as much as negatives"),
    ] = True
    epochs: Annotated[int, Field(ge=1, description="passes over the training samples")] = 10
    batch_size: Annotated[int, Field(ge=1)] = 256
    seed: Annotated[int, Field(ge=0, description="of initial weights, order and dropout")] = 0


class HeadSettings(CommonSettings):
    """Of the trainer ``heads``: every combination of rate, penalty and normalisation is a head, on each input."""

    hidden: Annotated[
        list[Annotated[int, Field(ge=1)]], Field(description="widths of hidden layers; none: linear")
    ] = []
    activation: Annotated[Literal["none", "relu", "gelu", "silu"], Field(description="between layers")] = "gelu"
    layer_norm: Annotated[bool, Field(description="after each hidden layer, before its activation")] = True
    dropout: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]],
        Field(description="after each hidden layer; one for all, or one each"),
    ] = [0.0]
    learning_rates: Annotated[list[Rate], Field(min_length=1)] = [1e-3]
    weight_decays: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = [0.0]
    normalise: Annotated[
        list[bool], Field(min_length=1, description="whether vectors are divided by their L2 norm")
    ] = [False]
    standardise: Annotated[
        bool, Field(description="mean 0 and deviation 1 of each dimension; folded into the weights")
    ] = True
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1, description="of sgd")] = 0.9
    min_steps: Annotated[int, Field(ge=1, description="of a small training set, more passes are made")] = 300


class BackboneSettings(CommonSettings):
    """Of the trainer ``backbone``."""

    train: Annotated[
        Literal["head", "all"] | Annotated[int, Field(ge=1)],
        Field(description="head: the backbone is frozen; N: its last N blocks too; all"),
    ] = "all"
    learning_rate: Rate = 5e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    layer_decay: Annotated[float, Field(gt=0, le=1, description="factor of the rate from a block to the one below")] = (
        0.8
    )
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    warmup: Annotated[float, Field(ge=0, lt=1, description="share of the steps")] = 0.1
    accumulate: Annotated[int, Field(ge=1, description="batches of one step")] = 1
    clip: Annotated[float, Field(ge=0, description="norm of the gradient; 0: not")] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1, description="decay of the moving average of weights; 0: none")] = 0.0
    mixed_precision: Annotated[Literal["no", "bf16", "fp16"], Field(description="on a GPU")] = "no"
    flip: Annotated[bool, Field(description="mirror half of the images; changes text and some tags")] = False
    crop: Annotated[
        float,
        Field(gt=0, le=1, description="least share of the area of a random crop; 1: none. It changes what quality is"),
    ] = 1.0
    mixup: Annotated[float, Field(ge=0, description="alpha; 0: off")] = 0.0
    patience: Annotated[int, Field(ge=0, description="epochs without improvement before it stops; 0: never")] = 0
    checkpoint_steps: Annotated[int, Field(ge=0, description="steps between checkpoints; 0: one each epoch")] = 0
    tracker: Annotated[
        Literal["tensorboard", "mlflow", "wandb", "trackio", "none"],
        Field(description="where curves are sent while it trains"),
    ] = "tensorboard"


Settings = HeadSettings | BackboneSettings
_SETTINGS: Mapping[str, type[HeadSettings] | type[BackboneSettings]] = {
    "heads": HeadSettings,
    "backbone": BackboneSettings,
}


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Attributes:
        name: of its file.
        trainer: a module of ``trainers/``.
        description: for users.
        source: where its numbers come from.
        settings: its own values; others are the trainer's defaults.
    """

    name: str
    trainer: Literal["heads", "backbone"]
    description: str
    source: str
    settings: Mapping[str, Any]

    def with_settings(self, own: Mapping[str, Any]) -> Settings:
        """The settings, with some replaced.

        Raises:
            ValueError: one is unknown or has no such value; the message names it.
        """
        try:
            return _SETTINGS[self.trainer].model_validate({**self.settings, **own})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            known = _SETTINGS[self.trainer].model_fields
            hint = did_you_mean(name, known) if name not in known else ""
            raise ValueError(f"settings.{'.'.join(map(str, first['loc']))}: {first['msg']}{hint}") from error


def recipe_names() -> list[str]:
    """The names of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def get_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is none.
    """
    file = FOLDER / f"{name}.yaml"
    if name not in recipe_names():
        raise ValueError(f"no recipe {name!r}; there are: {', '.join(recipe_names())}")
    return Recipe(name=name, **yaml.safe_load(file.read_text(encoding="utf-8")))
