"""What a user declares about a classifier.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: reading YAML, and checks that need
other rooms (does the dataset have the embedding?).
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from arot_assets.names import Name, Owner


class LabelsDeclaration(BaseModel):
    """Where labels come from: exactly one of ``from_folder`` and ``from_sql``."""

    model_config = ConfigDict(extra="forbid")

    from_folder: Annotated[
        int | None, Field(ge=1, description="the n-th folder below the dataset's source is the label; 1 = the first")
    ] = None
    from_sql: Annotated[
        str | None,
        Field(min_length=1, description="a query that returns sample_id and label, over the catalogue's views"),
    ] = None
    classes: Annotated[
        list[str] | None,
        Field(description="the labels to learn; samples with other labels are ignored. Default: all labels found"),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> "LabelsDeclaration":
        if (self.from_folder is None) == (self.from_sql is None):
            raise ValueError("labels: set exactly one of from_folder (e.g. 1) and from_sql (a query)")
        if self.classes is not None and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise ValueError(f"labels: classes must be at least two different names, got {self.classes}")
        return self


class SplitDeclaration(BaseModel):
    """How the labelled samples are divided, and what counts as the same image."""

    model_config = ConfigDict(extra="forbid")

    train: Annotated[float, Field(gt=0, lt=1, description="fraction of samples for training")] = 0.7
    val: Annotated[float, Field(gt=0, lt=1, description="fraction of samples for choosing the regularization")] = 0.15
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


class ClassifierDeclaration(BaseModel):
    """A classifier: a linear head on a stored embedding of one dataset, whose scores are a table of that dataset."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="the scores are the table <dataset>.<name>")]
    dataset: Annotated[Name, Field(description="an image dataset")]
    labels: LabelsDeclaration
    embedding: Annotated[Name, Field(description="the metric with a column `vector`")] = "embedding"
    split: SplitDeclaration = SplitDeclaration()
    l2: Annotated[
        list[Annotated[float, Field(gt=0)]],
        Field(min_length=1, description="strengths of the L2 penalty to try; the validation set decides"),
    ] = [1e-3, 1e-2, 1e-1, 1.0, 10.0]
    class_balanced: Annotated[
        bool, Field(description="give each class the same weight, however many samples it has")
    ] = True
    promote_if: Annotated[
        dict[str, float], Field(description="minimum test figures of a head that may score: accuracy, macro_f1")
    ] = {"macro_f1": 0.8}
    description: Annotated[str, Field(description="what it distinguishes, for the UI")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []

    @model_validator(mode="before")
    @classmethod
    def _labels_in_short(cls, data: Any) -> Any:
        if isinstance(data, dict) and "labels" not in data:
            raise ValueError("labels are missing: write `labels: {from_folder: 1}` or `labels: {from_sql: select …}`")
        return data

    @model_validator(mode="after")
    def _known_gates(self) -> "ClassifierDeclaration":
        for figure, least in self.promote_if.items():
            if figure not in GATES:
                raise ValueError(f"promote_if: unknown figure {figure!r}; known: {', '.join(GATES)}")
            if not 0 <= least <= 1:
                raise ValueError(f"promote_if: {figure} must be between 0 and 1, got {least:g}")
        if self.name in (self.embedding, "samples", "inventory", "wide"):
            raise ValueError(f"name: {self.name!r} is already another table of the dataset; choose a different name")
        return self


GATES = ("accuracy", "macro_f1")
"""Figures on the test set that ``promote_if`` can require."""
