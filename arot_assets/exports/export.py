"""What a user declares about an export: a subset as files that trainers load.

Belongs here: the fields of ``defs.yaml`` and their validation. Does not belong here: reading YAML, whether the subset exists
(``arot_assets.declarations``), the files.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from arot_assets.exports.buckets.exact import exact_sizes
from arot_assets.exports.declaration import MODEL
from arot_assets.exports.rules import CHOSEN, RULES, Action, RuleName
from arot_assets.names import Name, Owner
from resources.storage.http.rules import redacted

Layout = Literal[
    "pairs", "hf", "ltx", "kohya_jsonl", "musubi_jsonl", "simpletuner_parquet", "diffusion_pipe_json", "webdataset"
]
WITHOUT_COMPANIONS = ("kohya_jsonl",)
WITHOUT_WEIGHTS = ("hf", "ltx", "webdataset")
WITH_SEVERAL_CONTROLS = ("pairs", "hf", "musubi_jsonl", "simpletuner_parquet", "webdataset")
TrainerName = Literal[
    "sd-scripts",
    "musubi",
    "diffusion-pipe",
    "ai-toolkit",
    "onetrainer",
    "simpletuner",
    "finetrainers",
    "diffusers",
    "ltx2",
    "ltx-video",
]


Column = Annotated[str, Field(pattern=MODEL)]
COLOUR = r"^#[0-9a-f]{6}$"
WHITE = "#ffffff"


class ExportDeclaration(BaseModel):
    """A subset as a training set on disk, in S3 or on the Hub."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="the asset is exports/<name>")]
    subset: Annotated[str, Field(pattern=MODEL, description="a SQL model tagged `subset`")]
    layout: Annotated[Layout, Field(description="how media and captions are arranged")] = "pairs"
    trainers: Annotated[
        list[TrainerName] | None,
        Field(description="those that configurations and buckets are made for; default: all that take the layout"),
    ] = None
    destination: Annotated[
        str | None,
        Field(
            description="a folder or s3://bucket/prefix below which <name>/<version> is written, or hf://datasets/owner/name"
        ),
    ] = None
    trainer_root: Annotated[
        str | None, Field(description="where the trainer's machine finds the version's folder, for its configuration")
    ] = None
    caption: Annotated[
        str, Field(description="a column of the subset, or of its samples: the caption that is trained")
    ] = "caption"
    columns: Annotated[
        list[str], Field(description="further columns of the subset, for layouts with a metadata file")
    ] = []
    mask: Annotated[
        str | None,
        Field(
            pattern=MODEL, description="a column of the subset with the sample_id of a sample's mask: white is trained"
        ),
    ] = None
    control: Annotated[
        Column | Annotated[list[Column], Field(min_length=1, max_length=3)] | None,
        Field(
            description="a column with the sample_id of a sample's conditioning picture or reference clip; or up to three of them"
        ),
    ] = None
    mix: Annotated[
        Mapping[str, Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]],
        Field(
            description="further subsets in the same export: with their repeats, or each with its share of an epoch, above 0 and "
            "below 1; the rest is the subset's"
        ),
    ] = {}
    repeats: Annotated[int, Field(ge=1, description="times that a sample of the subset is seen in an epoch")] = 1
    media: Annotated[
        Literal["safe", "original", "exact"],
        Field(
            description="safe: original files where every trainer reads them alike, else re-encoded; original: never "
            "re-encoded; exact: pictures in sizes that no trainer scales or crops"
        ),
    ] = "safe"
    files: Annotated[
        Literal["link", "copy"],
        Field(description="original files on the same disk: a hard link, or a copy that may be edited"),
    ] = "link"
    format: Annotated[Literal["jpg", "png"], Field(description="of re-encoded pictures")] = "jpg"
    quality: Annotated[int, Field(ge=50, le=100, description="of re-encoded JPEG")] = 95
    background: Annotated[
        str, Field(pattern=COLOUR, description="of re-encoded pictures: the colour behind what is transparent")
    ] = WHITE
    max_side: Annotated[
        int | None, Field(ge=64, description="longer side in pixels above which pictures are scaled down")
    ] = None
    resolution: Annotated[int, Field(ge=64, le=8192, description="training size of pictures, in pixels")] = 1024
    video_size: Annotated[tuple[int, int], Field(description="training size of clips: width and height in pixels")] = (
        768,
        512,
    )
    frames: Annotated[list[int], Field(min_length=1, description="frames of the buckets of clips, each 8n + 1")] = [49]
    fps: Annotated[float, Field(gt=0, description="frames a second of all clips")] = 24.0
    batch_size: Annotated[int, Field(ge=1, description="samples of one GPU in one pass")] = 1
    gradient_accumulation: Annotated[int, Field(ge=1, description="passes before the weights change")] = 1
    gpus: Annotated[int, Field(ge=1, description="GPUs that train")] = 1
    rules: Annotated[
        Mapping[RuleName, Action],
        Field(description="what is done about samples that break a rule: stop, skip, mend, keep"),
    ] = {}
    private: Annotated[bool, Field(description="whether a newly created repository is private")] = True
    description: Annotated[str, Field(description="what this export is for")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []

    @field_validator("rules")
    @classmethod
    def _possible(cls, rules: Mapping[RuleName, Action]) -> Mapping[RuleName, Action]:
        for name, action in rules.items():
            if name not in CHOSEN:
                raise ValueError(f"'{name}' always stops; rules with a choice: {', '.join(CHOSEN)}")
            if action == "mend" and not RULES[name].mendable:
                raise ValueError(f"'{name}' cannot be mended; use stop, skip or keep")
            if action == "keep" and name in ("caption_missing", "companion_missing", "unreadable"):
                raise ValueError(f"'{name}' cannot be kept: there is nothing to write; use stop or skip")
        return rules

    @field_validator("control")
    @classmethod
    def _one_is_one(cls, control: str | list[str] | None) -> str | list[str] | None:
        return control[0] if isinstance(control, list) and len(control) == 1 else control

    @field_validator("frames")
    @classmethod
    def _eights(cls, frames: list[int]) -> list[int]:
        for count in frames:
            if count < 1 or count % 8 != 1:
                raise ValueError(
                    f"{count} is not 8n + 1; the nearest are {(count - 1) // 8 * 8 + 1} and {-(-(count - 1) // 8) * 8 + 1}"
                )
        return sorted(frames)

    @field_validator("destination")
    @classmethod
    def _without_secrets(cls, destination: str | None) -> str | None:
        if destination is not None and "://" in destination and redacted(destination) != destination:
            raise ValueError("it contains a password or signature; set credentials in the environment")
        return destination

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.media == "exact":
            exact_sizes(self.resolution)
        if self.subset in self.mix:
            raise ValueError("`mix` names the subset itself; set its `repeats`")
        self._check_weights()
        if self.companions and self.layout in WITHOUT_COMPANIONS:
            raise ValueError(f"the layout '{self.layout}' has no place for masks and controls; `pairs` has")
        if "control_2" in self.companions and self.layout not in WITH_SEVERAL_CONTROLS:
            raise ValueError(f"the layout '{self.layout}' has a place for one control of a sample; `pairs` has more")
        if self.media == "original":
            for name, action in self.rules.items():
                if action == "mend" and RULES[name].media:
                    raise ValueError(f"with `media: original` nothing is re-encoded, so '{name}' cannot be mended")
        return self

    def _check_weights(self) -> None:
        shares = [w for w in self.mix.values() if isinstance(w, float)]
        if shares and (len(shares) < len(self.mix) or self.repeats != 1):
            raise ValueError("`mix` has shares, such as 0.3, beside repeats; use one of them for all subsets")
        if sum(shares) >= 1:
            raise ValueError(f"the shares in `mix` add up to {sum(shares):g}, which leaves nothing for '{self.subset}'")
        if self.weighted and self.layout in WITHOUT_WEIGHTS:
            raise ValueError(
                f"no trainer that takes the layout '{self.layout}' sees some subsets more often than others; `pairs` has "
                "trainers that do, or give all of `mix` the repeats of the subset"
            )

    def action(self, rule: RuleName) -> Action:
        """What is done about a violation."""
        chosen = self.rules.get(rule, RULES[rule].action)
        if chosen == "mend" and self.media == "original" and (RULES[rule].media or rule == "format"):
            return self.rules.get(rule, "stop")
        return chosen

    @property
    def companions(self) -> dict[str, str]:
        """Role -> the column with the sample_id of each sample's companion."""
        controls = [self.control] if isinstance(self.control, str) else self.control or []
        roles = ("control", *(f"control_{n}" for n in range(2, len(controls) + 1)))
        named = dict(zip(roles, controls, strict=False))
        return {"mask": self.mask, **named} if self.mask is not None else named

    @property
    def kept(self) -> frozenset[RuleName]:
        """Rules that written files may break."""
        return frozenset(rule for rule in CHOSEN if self.action(rule) == "keep")

    @property
    def parts(self) -> tuple[str, ...]:
        """The subsets, the main one first."""
        return self.subset, *self.mix

    @property
    def shares(self) -> dict[str, float] | None:
        """Subset -> its share of an epoch; None if repeats are declared."""
        if not any(isinstance(weight, float) for weight in self.mix.values()):
            return None
        return {self.subset: 1 - sum(self.mix.values()), **self.mix}

    @property
    def weighted(self) -> bool:
        """Whether samples of some subsets are seen more often than those of others."""
        return self.shares is not None or any(times != self.repeats for times in self.mix.values())

    def repeats_of(self, part: str) -> int:
        """Times that a sample of a subset is seen in an epoch, where repeats are declared."""
        return self.repeats if part == self.subset else int(self.mix[part])
