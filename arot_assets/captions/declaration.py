"""What a user declares about captions, or answers, by a vision-language model.

Belongs here: the fields of ``defs.yaml`` and their checks. Does not belong here: reading YAML, prompts (``prompt.py``), and
checks that need other rooms (``arot_assets.declarations``).
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from arot_assets.captions.prompt import SAMPLE, Prompt, PromptError
from arot_assets.names import Name, Owner, ServerUrl
from resources.models.text_tokens import ADDRESS
from resources.root import project_root


class Server(BaseModel):
    """An OpenAI-compatible server."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[
        ServerUrl,
        Field(pattern=r"^https?://\S+$", description="base address of the API, e.g. http://127.0.0.1:8000/v1"),
    ]
    model: Annotated[str, Field(min_length=1, description="the model's name on the server")]
    key_variable: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_]*$", description="environment variable that holds the key; none by default")
    ] = ""
    concurrency: Annotated[int, Field(ge=1, le=1024, description="requests under way at the same time at most")] = 16
    attempts: Annotated[int, Field(ge=1, description="tries of one question before its row fails")] = 6
    seconds: Annotated[float, Field(gt=0, description="silence of the server that is put up with")] = 300.0


class LocalModel(BaseModel):
    """A model on this machine, by transformers."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(min_length=1, description="a folder, or owner/name on the Hub")]
    revision: Annotated[
        str, Field(pattern=r"^([0-9a-f]{40})?$", description="the commit on the Hub, 40 hex digits; none for a folder")
    ] = ""
    trust_remote_code: Annotated[
        bool, Field(description="run Python code of the repository, of which `files` pins all")
    ] = False
    files: Annotated[
        dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]],
        Field(description="each Python file of the repository that is run, and its SHA-256, 64 hex digits"),
    ] = {}

    @model_validator(mode="after")
    def _pinned_code(self) -> Self:
        if not self.trust_remote_code:
            if self.files:
                raise ValueError("`files` pins code, which is run only with `trust_remote_code: true`")
            return self
        if not self.revision:
            raise ValueError("trust_remote_code needs the commit on the Hub as `revision`: code of a branch may change")
        if not self.files:
            raise ValueError("trust_remote_code needs `files`: each Python file that is run, with its SHA-256")
        for path in map(PurePosixPath, self.files):
            if path.suffix != ".py" or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"files: '{path}' is no Python file of the repository")
        return self


class ImageRule(BaseModel):
    """How an image is sent. Its tokens grow with its pixels: about 1,300 a megapixel for Qwen2.5-VL, 1,000 for Qwen3-VL."""

    model_config = ConfigDict(extra="forbid")

    max_pixels: Annotated[int, Field(ge=64, description="larger images are scaled down to this many pixels")] = (
        1_003_520
    )
    quality: Annotated[int, Field(ge=1, le=100, description="of the JPEG that is sent")] = 90


class SamplingRule(BaseModel):
    """How an answer is drawn."""

    model_config = ConfigDict(extra="forbid")

    temperature: Annotated[float, Field(ge=0, le=2, description="0 for the most probable token each time")] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1, description="share of probability that is drawn from")] = 1.0
    max_tokens: Annotated[int, Field(ge=1, description="an answer that reaches it is a failed row")] = 512
    seed: Annotated[int, Field(ge=0, description="for servers that take one")] = 0


class Price(BaseModel):
    """What the server takes, in any currency, for a million tokens."""

    model_config = ConfigDict(extra="forbid")

    input: Annotated[float, Field(ge=0, description="of prompts and images")] = 0.0
    output: Annotated[float, Field(ge=0, description="of answers")] = 0.0


class BudgetRule(BaseModel):
    """What one run may use. It stops when the next question might exceed it, and says what is left."""

    model_config = ConfigDict(extra="forbid")

    requests: Annotated[int | None, Field(ge=1, description="questions of a run")] = None
    tokens: Annotated[int | None, Field(ge=1, description="tokens of a run, in and out")] = None
    money: Annotated[float | None, Field(gt=0, description="cost of a run, by `price`")] = None


class CaptionsDeclaration(BaseModel):
    """Captions, or answers to a question, that a vision-language model gives for each sample of a dataset."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="the answers are the table <dataset>.<name>")]
    dataset: Annotated[Name, Field(description="a dataset")]
    prompt: Annotated[
        str,
        Field(min_length=1, description="a Jinja file; relative paths start at the project"),
    ]
    system: Annotated[str, Field(description="instructions before everything else")] = ""
    server: Annotated[Server | None, Field(description="an OpenAI-compatible server")] = None
    local: Annotated[LocalModel | None, Field(description="or a model on this machine")] = None
    fields: Annotated[
        dict[str, Any] | None,
        Field(description="JSON schema of an object: its properties become columns; default: free text"),
    ] = None
    image: ImageRule = ImageRule()
    beside: Annotated[
        list[str],
        Field(
            description="more pictures of the same question, after the sample's own: Jinja for the address of another object of "
            "the dataset, e.g. `{{ sample.uri | replace('/images/', '/controls/') }}`"
        ),
    ] = []
    stills: Annotated[
        int | None,
        Field(
            ge=1,
            le=64,
            description="of films and clips: how many pictures are sent, evenly spaced in time; needed there",
        ),
    ] = None
    stills_fps: Annotated[
        float | None, Field(gt=0, le=30, description="pictures per second instead, `stills` at most")
    ] = None
    sampling: SamplingRule = SamplingRule()
    budget: BudgetRule = BudgetRule()
    price: Price = Price()
    tokenizers: Annotated[
        dict[Name, Annotated[str, Field(pattern=rf"^{ADDRESS.pattern}$")]],
        Field(
            description="more tokenizers that texts are measured with, NAME: hf://models/OWNER/NAME@COMMIT/tokenizer.json; each "
            "is a column NAME_tokens of the table of quality"
        ),
    ] = {}
    version: Annotated[str, Field(description="change it to ask about everything again")] = "1"
    start: Annotated[
        Literal["automatic", "on_request"],
        Field(description="whether automation asks about new samples, or only a person does (`arot run`, the UI)"),
    ] = "automatic"
    description: Annotated[str, Field(description="what is asked, for the UI")] = ""
    owners: Annotated[list[Owner], Field(description="e-mail addresses or team:NAME, shown in the UI")] = []

    @field_validator("beside")
    @classmethod
    def _of_the_sample(cls, templates: list[str]) -> list[str]:
        for template in templates:
            try:
                read = Prompt(Path("beside"), template).names
            except PromptError as error:
                raise ValueError(str(error)) from error
            if set(read) - {SAMPLE}:
                raise ValueError(f"it reads {', '.join(read)}; an address is made from the columns of `sample` alone")
        return templates

    @property
    def pictures(self) -> tuple[Prompt, ...]:
        """What makes the addresses of the pictures beside a sample's own."""
        return tuple(Prompt(Path("beside"), template) for template in self.beside)

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.server is None) == (self.local is None):
            raise ValueError("give exactly one of `server` and `local`: who answers?")
        if self.stills_fps is not None and self.stills is None:
            raise ValueError("stills_fps needs `stills`, the most pictures that one question may have")
        if self.stills is not None and self.beside:
            raise ValueError("`beside` is for images, `stills` for films and clips; give one of them")
        if self.budget.money is not None and not (self.price.input or self.price.output):
            raise ValueError("budget.money needs `price`, the cost of a million tokens")
        if "clip" in self.tokenizers:
            raise ValueError("tokenizers.clip: CLIP's tokens are counted in any case; choose another name")
        return self

    @property
    def prompt_path(self) -> Path:
        """The file of the prompt."""
        return project_root() / Path(self.prompt).expanduser()

    @property
    def model(self) -> str:
        """Who answers."""
        chosen = self.server or self.local
        assert chosen is not None, "the validator has seen to it"
        return chosen.model
