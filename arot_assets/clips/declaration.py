"""What a user declares about clips: which rows of which model, and how their files are written.

Belongs here: these fields and their validation. Does not belong here: the other fields of a dataset of films, which clips
have as well (``arot_assets/declarations/kinds/clips.py``).
"""

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from arot_assets.names import Name

if TYPE_CHECKING:
    from arot_assets.media.video.clip_file import Settings

MODEL = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Cutting(BaseModel):
    """Which clips are cut, and how."""

    model: Annotated[
        str,
        Field(pattern=MODEL, description="a SQL model with rows of the macro shots or sections; each becomes a file"),
    ]
    films: Annotated[Name, Field(description="the dataset of the films")]
    fps: Annotated[
        str, Field(coerce_numbers_to_str=True, description="frames per second: 24, 30000/1001; default: the film's own")
    ] = ""
    size: Annotated[str, Field(description="WxH: scale to cover this size and cut to it; default: the film's own")] = ""
    multiple: Annotated[int, Field(ge=2, multiple_of=2, description="of sides, without `size`")] = 2
    frames: Annotated[int, Field(ge=0, description="at most so many frames a file; 0 for all")] = 0
    frames_step: Annotated[int, Field(ge=1, description="frames are 1 plus a multiple of it: 4, 8; 1 for any")] = 1
    timing: Annotated[
        Literal["nearest", "retime"],
        Field(
            description="nearest: each frame shows the film's frame nearest in time; retime: each frame of the film is shown "
            "once, at most 5 % slower or faster"
        ),
    ] = "nearest"
    repeats: Annotated[
        Literal["drop", "keep"],
        Field(description="drop: with `fps`, frames that repeat the one before are left out first, if enough remain"),
    ] = "drop"
    audio: Annotated[Literal["drop", "keep"], Field(description="keep the sound, encoded again, or drop it")] = "drop"
    crf: Annotated[float, Field(ge=0, le=51, description="quality of x264: less is better and larger")] = 17.0
    preset: Annotated[
        Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"],
        Field(description="speed of x264"),
    ] = "veryfast"

    @field_validator("fps")
    @classmethod
    def _is_a_rate(cls, fps: str) -> str:
        try:
            if fps and Fraction(fps) <= 0:
                raise ValueError
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError("a number of frames per second, or a fraction such as 30000/1001") from error
        return fps

    @field_validator("size")
    @classmethod
    def _is_a_size(cls, size: str) -> str:
        sides = size.lower().split("x")
        if size and not (len(sides) == 2 and all(s.isdigit() and int(s) > 0 and int(s) % 2 == 0 for s in sides)):
            raise ValueError("two even numbers of pixels, width and height: 768x512")
        return size.lower()

    @property
    def settings(self) -> "Settings":
        """How the files are written."""
        from arot_assets.media.video.clip_file import Settings

        width, height = map(int, self.size.split("x")) if self.size else (0, 0)
        return Settings(
            self.fps,
            width,
            height,
            self.multiple,
            self.frames,
            self.frames_step,
            self.timing,
            self.repeats,
            self.audio,
            crf=self.crf,
            preset=self.preset,
        )
