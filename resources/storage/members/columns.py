"""Which columns of a table contain images, in their various representations.

Belongs here: the places in a schema that can contain an image, and which of them do. Does not belong here: reading the
file (``parquet.py``).

An image is binary, or Base64 text; directly, in a struct (``{bytes, path}`` is the ``Image`` feature of ``datasets``),
in a list of these, or in a struct around them. Dictionary, large and view types count as what they contain.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

USUAL_NAMES = frozenset(
    "image images img imgs jpg jpeg png webp image images photo photos pixels_file image_bytes img_bytes image_data "
    "image_content jpg_bytes png_bytes bytes content".split()
)
"""Binary columns with these names contain images if nothing in the file says which columns do; of a dotted name, the
last part counts too."""
BYTES = "bytes"
STARTS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"8BPS"),
    *(b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"qoif", b"P5", b"P6"),
)
"""Leading bytes of image formats; those of WebP, AVIF and HEIF come later in the file."""
DATA_URI = re.compile(r"data:image/[\w.+-]+(;[\w=-]+)*;base64,")
OTHER_FEATURES = frozenset({"Audio", "Video", "Pdf", "Nifti"})


@dataclass(frozen=True)
class ImageColumn:
    """A place in a row that can contain images.

    Attributes:
        name: the path to it, field names joined by dots; without the ``bytes`` of a struct.
        column: the column of the table.
        before_list: names of the fields that lead to the list, or to the value if there is no list.
        after_list: names of the fields that lead from a list item to the value.
        is_list: whether there is a list.
        is_text: whether it is Base64 text rather than binary.
        is_struct: whether it is the ``bytes`` of a struct.
    """

    name: str
    column: str
    before_list: tuple[str, ...] = ()
    after_list: tuple[str, ...] = ()
    is_list: bool = False
    is_text: bool = False
    is_struct: bool = False

    @property
    def leaf(self) -> str:
        """The path that is read from the file: only the value itself if there is no list."""
        return self.column if self.is_list else ".".join((self.column, *self.before_list))

    def of(self, value: Any, item: int) -> Any:
        """The image in a value of the column; None if there is none."""
        for step in self.before_list:
            value = None if value is None else value.get(step)
        if self.is_list:
            value = value[item] if value is not None and item < len(value) else None
            for step in self.after_list:
                value = None if value is None else value.get(step)
        return value


def places(schema: pa.Schema) -> list[ImageColumn]:
    """Every place that can contain images: binary and text."""
    return [place for field in schema for place in _below(field.type, ImageColumn(field.name, field.name))]


def image_places(schema: pa.Schema, found: list[ImageColumn]) -> list[ImageColumn]:
    """The places that contain images: those marked by the ``Image`` feature of ``datasets``, otherwise structs with
    ``bytes``; and binary columns with a usual name. Text is never accepted by its name: it may be a URL.
    """
    marked, others = _features(schema)
    result = []
    for place in found:
        usual = {place.name.lower(), re.split(r"[./]", place.name.lower())[-1]} & USUAL_NAMES
        taken = place.column in marked or (place.is_struct and not marked) or (usual and not place.is_struct)
        if taken and not place.is_text and place.column not in others:
            result.append(place)
    return result


def as_image(value: Any) -> bytes | None:
    """The bytes of an image, given directly or in Base64; None if its first bytes are not those of an image."""
    if isinstance(value, str):
        match = DATA_URI.match(value)
        text = value[match.end() :] if match else value
        try:  # both alphabets, and missing padding
            data = base64.b64decode(text.translate({45: 43, 95: 47}) + "=" * (-len(text.strip()) % 4))
        except (binascii.Error, ValueError):
            return None
        return data if match or _is_image(data) else None
    return value if isinstance(value, bytes) and _is_image(value) else None


def _is_image(data: bytes) -> bool:
    webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    return data.startswith(STARTS) or webp or data[4:8] == b"ftyp"


def _below(kind: pa.DataType, at: ImageColumn) -> Iterator[ImageColumn]:
    """The places inside a type. A list of lists is not searched: its images would have no clear meaning."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        fields = [kind.field(n) for n in range(kind.num_fields)]
        image = any(f.name == BYTES and _is_bytes(f.type) for f in fields)
        for field in fields:
            if image and field.name != BYTES:
                continue
            name = at.name if image else f"{at.name}.{field.name}"
            steps = (
                {"after_list": (*at.after_list, field.name)}
                if at.is_list
                else {"before_list": (*at.before_list, field.name)}
            )
            yield from _below(field.type, ImageColumn(**{**at.__dict__, **steps, "name": name, "is_struct": image}))
    elif _is_list(kind):
        if not at.is_list:
            yield from _below(kind.value_type, ImageColumn(**{**at.__dict__, "is_list": True}))
    elif _is_bytes(kind):
        yield at
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        yield ImageColumn(**{**at.__dict__, "is_text": True})


def _features(schema: pa.Schema) -> tuple[set[str], set[str]]:
    """Columns that ``datasets`` marks as images, directly or in lists; and those that it marks as another medium."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return set(), set()
    marked = {name for name, feature in features if '"_type": "Image"' in json.dumps(feature)}
    others = {
        name for name, feature in features if isinstance(feature, dict) and feature.get("_type") in OTHER_FEATURES
    }
    return marked, others


def _is_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    tests = (
        *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
        *(pa.types.is_list_view, pa.types.is_large_list_view),
    )
    return any(test(kind) for test in tests)
