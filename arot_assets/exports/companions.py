"""What belongs to a sample besides its caption: its mask, and its controls (conditioning pictures, or a reference clip).

Belongs here: their names, where they lie in a version, and making their files. Does not belong here: which samples they are
(``selection.py``), how a trainer is told (``trainers/``).

A companion is a sample itself: a column of the subset has its ``sample_id``, so that its bytes are those that were chosen.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.prepare import PreparedFile, encode, fitted, opaque, prepare
from arot_assets.exports.rules import Violation

Role = Literal["mask", "control", "control_2", "control_3"]
ROLES: tuple[Role, ...] = get_args(Role)
FIELDS = ("sample_id", "dataset", "uri", "width", "height", "frames", "fps")
SAME_SHAPE = 0.02
"""Ratios of width to height that differ by less are rounding of scaled sizes."""


def column(role: str, field: str) -> str:
    """The name of a column of the selection."""
    return f"{role}:{field}"


def companion_folder(role: str, folder: str) -> str:
    """Where the companions of a media folder lie: ``masks`` beside ``images``, ``masks-x`` beside ``images-x``; the second
    controls in ``controls_2``."""
    kind, *place = role.split("_")
    return "-".join(["_".join([f"{kind}s", *place]), *folder.split("-", 1)[1:]])


def broken_companions(declaration: ExportDeclaration, row: Mapping[str, Any], video: bool) -> list[Violation]:
    """The rules that a sample's companions break, as far as rows show."""
    found = []
    sample = row["sample_id"]
    for role in declaration.companions:
        have = {f: row[column(role, f)] for f in FIELDS}
        if have["uri"] is None:
            told = f"no dataset that the subset reads has {have['sample_id']}" if have["sample_id"] else "it has none"
            found.append(Violation("companion_missing", sample, f"{role}: {told}"))
        elif video and any(have[f] != row[f] for f in ("width", "height", "frames", "fps")):
            shown = [f"{r['width']}x{r['height']}x{r['frames']} at {r['fps']:g}" for r in (have, row)]
            found.append(Violation("companion_shape", sample, f"{role}: {shown[0]} instead of {shown[1]}"))
        elif not video and _differs(have, row):
            shown = [f"{r['width']}x{r['height']}" for r in (have, row)]
            found.append(Violation("companion_shape", sample, f"{role}: {shown[0]} for {shown[1]}"))
    return found


def prepare_companion(
    data: bytes, role: str, row: Mapping[str, Any], size: tuple[int, int], declaration: ExportDeclaration
) -> PreparedFile:
    """A mask or control picture in the size that its picture is stored in, scaled and cropped alike.

    Args:
        data: the original.
        role: masks become gray PNG without loss; controls stay as they are where that is possible.
        row: of the selection.
        size: width and height of the picture's file.
        declaration: a control whose shape differs is left as it is if ``companion_shape`` is ``keep``.

    Raises:
        DecodeError: the file cannot be decoded.
    """
    from arot_assets.media.image.decode import decode

    if role != "mask":
        own = prepare(data, declaration.model_copy(update={"media": "safe"}))
        kept = declaration.action("companion_shape") == "keep" and _differs(
            {f: row[column(role, f)] for f in FIELDS}, row
        )
        if kept or (own.width, own.height) == size:
            return own
        return PreparedFile(
            encode(fitted(opaque(data, declaration), *size), declaration), declaration.format, *size, own.broken
        )
    import cv2

    gray = cv2.cvtColor(fitted(decode(data), *size, mask=True), cv2.COLOR_RGB2GRAY)
    return PreparedFile(cv2.imencode(".png", gray)[1].tobytes(), "png", *size, ())


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two pictures have other shapes."""
    return bool(abs(one["width"] * other["height"] / (one["height"] * other["width"]) - 1) > SAME_SHAPE)
