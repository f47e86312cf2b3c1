"""What a user declares about a classifier.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: reading YAML, and checks that need
other rooms (does the dataset have the embedding?).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from arot_assets.classifiers.recipes import Settings, get_recipe
from arot_assets.classifiers.tasks import Kind, loss_of, tag_column
from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.names import Name, Owner


class LabelsDeclaration(BaseModel):
    """Where labels come from: exactly one of ``from_folder`` and ``from_sql``."""

    model_config = ConfigDict(extra="forbid")

    from_folder: Annotated[
        int | None, Field(ge=1, description="the n-th folder below the dataset's source is the label; 1 = the first")
    ] = None
    from_sql: Annotated[
        str | None,
        Field(
            min_length=1,
            description="a query over the catalogue's views that returns sample_id and label (or value), and if it likes "
            "weight, group_id and split",
        ),
    ] = None
    pairs: Annotated[
        Name | None,
        Field(
            description="of a regression: ratings whose pairs and rankings are learnt themselves; from_sql gives the values "
            "that it is judged by, by default those of their scale"
        ),
    ] = None
    classes: Annotated[
        list[str] | None,
        Field(
            description="the labels to learn, of ordered levels the lowest first; samples with other labels are ignored. "
            "Default: all labels found"
        ),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> "LabelsDeclaration":
        if self.pairs is not None and self.from_folder is not None:
            raise ValueError("labels: pairs go with values; give from_sql, or neither")
        if self.pairs is None and (self.from_folder is None) == (self.from_sql is None):
            raise ValueError("labels: set exactly one of from_folder (e.g. 1) and from_sql (a query)")
        if self.classes is not None and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise ValueError(f"labels: classes must be at least two different names, got {self.classes}")
        return self

    @property
    def query(self) -> str | None:
        """The query that gives labels; None for folders."""
        if self.from_sql is None and self.pairs is not None:
            return f'select sample_id, value from "{self.pairs}".scale where value is not null'
        return self.from_sql


class SplitDeclaration(BaseModel):
    """How the labelled samples are divided, and what counts as the same image."""

    model_config = ConfigDict(extra="forbid")

    train: Annotated[float, Field(gt=0, lt=1, description="fraction of samples for training")] = 0.7
    val: Annotated[float, Field(gt=0, lt=1, description="fraction of samples for choosing between models")] = 0.15
    test: Annotated[float, Field(gt=0, lt=1, description="fraction of samples for the final evaluation")] = 0.15
    seed: Annotated[int, Field(description="a different seed gives a different split")] = 0
    near_duplicate_distance: Annotated[
        int,
        Field(
            ge=0, le=15, description="bits of 64 in which the perceptual hashes of two variants of an image may differ"
        ),
    ] = 6

    @model_validator(mode="after")
    def _whole(self) -> "SplitDeclaration":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"split: train + val + test must be 1, got {total:g}")
        return self


PIXELS = "pixels"
VECTOR = "vector"


class ClassifierDeclaration(BaseModel):
    """A model of a team's own: learnt from labels of one dataset, and its scores are a table of that dataset.

    It is a head on a stored embedding, or a backbone that is trained further on the images themselves.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="the scores are the table <dataset>.<name>")]
    dataset: Annotated[Name, Field(description="an image dataset")]
    task: Annotated[
        Kind,
        Field(
            description="classification: one of several classes; multi_label: any of several tags; regression: a number; "
            "ordinal: one of several ordered levels"
        ),
    ] = "classification"
    labels: LabelsDeclaration
    inputs: Annotated[
        list[str] | Literal["pixels"],
        Field(
            description="tables with a column `vector` (or TABLE.COLUMN), of which the validation set decides; or: pixels"
        ),
    ] = ["embedding"]
    backbone: Annotated[
        Name | None, Field(description="with inputs: pixels, the entry of the model catalogue to start from")
    ] = None
    recipe: Annotated[str, Field(description="how it is trained, e.g. linear-probe, mlp-head, convnext-finetune")] = (
        "linear-probe"
    )
    settings: Annotated[dict[str, Any], Field(description="settings of the recipe to replace")] = {}
    split: SplitDeclaration = SplitDeclaration()
    slices: Annotated[
        dict[str, Annotated[str, Field(min_length=1)]],
        Field(description="name -> SQL expression over <dataset>.wide: figures are shown for each of its values"),
    ] = {}
    baselines: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z0-9_]+\.([a-z0-9_]+|\*)$")]],
        Field(
            description="TABLE.COLUMN of numbers to be compared with; of numbers and levels also TABLE.*: the column that "
            "orders the training samples best"
        ),
    ] = []
    promote_if: Annotated[
        dict[str, float] | None,
        Field(
            description="least test figures of a model that may score (of an error, the largest): accuracy, macro_f1, "
            "spearman, mae, ... Default: see GATES; {}: anything"
        ),
    ] = None
    promotion: Annotated[
        Literal["automatic", "manual"], Field(description="manual: only `arot promote` makes a model score")
    ] = "automatic"
    start_after: Annotated[
        int,
        Field(
            ge=1,
            description="new ratings since the last training (of labels from elsewhere: samples) after which automation trains "
            "again; `arot run` and the UI train at once, and other settings or inputs do not wait",
        ),
    ] = 1
    manual: Annotated[
        list[Literal["labels", "split", "model", "scores"]],
        Field(description="what no condition starts, only `arot run` or the UI; model: the training"),
    ] = []
    description: Annotated[str, Field(description="what it distinguishes, for the UI")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []
    _files: DatasetDeclaration | None = PrivateAttr(default=None)
    _elsewhere: dict[str, DatasetDeclaration] = PrivateAttr(default_factory=dict)
    _evaluation_sets: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _labels_in_short(cls, data: Any) -> Any:
        if isinstance(data, dict) and "labels" not in data:
            raise ValueError("labels are missing: write `labels: {from_folder: 1}` or `labels: {from_sql: select …}`")
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> "ClassifierDeclaration":
        recipe = get_recipe(self.recipe)
        if self.labels.pairs and (
            self.task != "regression" or self.inputs == PIXELS or self.trained_with.loss != "pairwise"
        ):
            raise ValueError(
                "labels: pairs are learnt by heads on embeddings: task: regression, and loss: pairwise or none"
            )
        loss_of(self.task, self.trained_with.loss)
        if (self.inputs == PIXELS) != (recipe.trainer == "backbone"):
            wants = "inputs: pixels" if recipe.trainer == "backbone" else "tables of embeddings as inputs"
            raise ValueError(f"recipe: {self.recipe!r} needs {wants}, got inputs: {self.inputs}")
        if (self.backbone is None) != (recipe.trainer == "heads"):
            raise ValueError("backbone: name an entry of the model catalogue with inputs: pixels, and only there")
        if isinstance(self.inputs, list) and (not self.inputs or len(set(self.columns)) < len(self.inputs)):
            raise ValueError(f"inputs: name one table or more, each once, got {self.inputs}")
        return self

    @model_validator(mode="after")
    def _right_labels(self) -> "ClassifierDeclaration":
        if self.task == "regression" and (self.labels.classes or self.labels.from_folder):
            raise ValueError("labels: a regression learns numbers: give from_sql with a column `value`, and no classes")
        columns = [tag_column(name) for name in self.labels.classes or ()]
        if len(set(columns)) < len(columns):
            raise ValueError(f"labels: classes {self.labels.classes} would share columns: {columns}; rename one")
        return self

    @model_validator(mode="after")
    def _best_column_of_an_order(self) -> "ClassifierDeclaration":
        every = [name for name in self.baselines if name.endswith(".*")]
        if every and self.task not in ("regression", "ordinal"):
            raise ValueError(f"baselines: {every[0]!r} needs an order, which {self.task} has not; name a column")
        return self

    @model_validator(mode="after")
    def _known_gates(self) -> "ClassifierDeclaration":
        known = GATES[self.task]
        for figure, least in (self.promote_if or {}).items():
            if figure not in known:
                raise ValueError(f"promote_if: unknown figure {figure!r}; of {self.task} there are: {', '.join(known)}")
            if figure not in ERRORS and not -1 <= least <= 1:
                raise ValueError(f"promote_if: {figure} must be between 0 and 1, got {least:g}")
        if self.name in (*self.tables, "samples", "inventory", "wide"):
            raise ValueError(f"name: {self.name!r} is already another table of the dataset; choose a different name")
        return self

    def set_files(self, dataset: DatasetDeclaration) -> None:
        """Tell where the images are: what the declared dataset says."""
        self._files = dataset

    def set_elsewhere(self, datasets: Mapping[str, DatasetDeclaration]) -> None:
        """Tell which other datasets have its scores, by name."""
        self._elsewhere = dict(datasets)

    @property
    def elsewhere(self) -> Mapping[str, DatasetDeclaration]:
        """The other datasets that have its scores, by name."""
        return self._elsewhere

    def set_evaluation_sets(self, sets: Mapping[str, str]) -> None:
        """Tell what declared ratings keep from training: name -> query that returns sample ids."""
        self._evaluation_sets = dict(sets)

    def every_evaluation_set(self) -> Mapping[str, str]:
        """What declared ratings keep from training."""
        return self._evaluation_sets

    def files_of_dataset(self, dataset: str = "") -> DatasetDeclaration:
        """The declaration of the dataset, for reading its images.

        Args:
            dataset: another one that has its scores.

        Raises:
            ValueError: it is not known.
        """
        if dataset in self._elsewhere:
            return self._elsewhere[dataset]
        if self._files is None:
            raise ValueError(
                f"classifier '{self.name}' reads the images of '{self.dataset}', whose declaration is not known"
            )
        return self._files

    @property
    def gate(self) -> dict[str, float]:
        """``promote_if``, or what is asked of a task where nothing is declared."""
        return DEFAULT_GATES[self.task] if self.promote_if is None else self.promote_if

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is trained on, ``table.column`` each; none for pixels."""
        if self.inputs == PIXELS:
            return ()
        return tuple(name if "." in name else f"{name}.{VECTOR}" for name in self.inputs)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of ``columns``."""
        return tuple(dict.fromkeys(column.split(".")[0] for column in self.columns))

    @property
    def trained_with(self) -> Settings:
        """The recipe's settings with its own.

        Raises:
            ValueError: no such recipe or setting.
        """
        found = get_recipe(self.recipe).with_settings(self.settings)
        return found.model_copy(update={"loss": "pairwise"}) if self.labels.pairs and found.loss == "auto" else found


_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision")
_NUMBERS = ("spearman", "pearson", "kendall", "mae", "rmse")
ERRORS = ("mae", "rmse")
"""Figures that are better when smaller."""
GATES: dict[Kind, tuple[str, ...]] = {
    "classification": _CLASSES,
    "multi_label": ("macro_f1", "auroc", "average_precision"),
    "regression": _NUMBERS,
    "ordinal": (*_CLASSES[:3], "kappa", *_NUMBERS),
}
"""Figures on the test set that ``promote_if`` can require."""
DEFAULT_GATES: dict[Kind, dict[str, float]] = {
    "classification": {"macro_f1": 0.8},
    "multi_label": {"macro_f1": 0.5},
    "regression": {"spearman": 0.5},
    "ordinal": {"spearman": 0.5},
}
"""What is required where ``promote_if`` says nothing."""
