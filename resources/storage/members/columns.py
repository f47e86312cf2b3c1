"""Which columns of a table hold images, in whatever shape people write them.

Belongs here: the places of a schema that can hold an image, and which of them do. Does not belong here: reading the file
(``parquet.py``).

An image is bytes, or text in base64; by itself, in a struct (``{bytes, path}`` is the ``Image`` of ``datasets``), in a list of
those, or in a struct around them. Dictionaries, large and view types are what they hold.
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
"""Columns of plain bytes that hold images when nothing in the file says which do; of a name with dots the last part, too."""
BYTES = "bytes"
STARTS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"8BPS"),
    *(b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"qoif", b"P5", b"P6"),
)
"""First bytes of the formats of images; WebP, AVIF and HEIF have theirs further on."""
DATA_URI = re.compile(r"data:image/[\w.+-]+(;[\w=-]+)*;base64,")
OTHER_FEATURES = frozenset({"Audio", "Video", "Pdf", "Nifti"})


@dataclass(frozen=True)
class ImageColumn:
    """Somewhere in a row that can hold images.

    Attributes:
        name: the path to it by names, with dots; without the ``bytes`` of a struct.
        column: the column of the table.
        before_list: names of fields on the way to the list, or to the value where there is none.
        after_list: names of fields from an item of the list to the value.
        is_list: whether there is a list.
        is_text: base64, not bytes.
        is_struct: the ``bytes`` of a struct.
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
        """What is read of the file: no more than the value where there is no list."""
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
    """Every place that can hold images: bytes, and text."""
    return [place for field in schema for place in _below(field.type, ImageColumn(field.name, field.name))]


def picture_places(schema: pa.Schema, found: list[ImageColumn]) -> list[ImageColumn]:
    """Those that hold images: what the ``Image`` feature of ``datasets`` marks, else structs of ``bytes``; and plain bytes with
    a usual name. Text is never taken by its name: it may be an address.
    """
    marked, others = _features(schema)
    result = []
    for place in found:
        usual = {place.name.lower(), re.split(r"[./]", place.name.lower())[-1]} & USUAL_NAMES
        taken = place.column in marked or (place.is_struct and not marked) or (usual and not place.is_struct)
        if taken and not place.is_text and place.column not in others:
            result.append(place)
    return result


def as_picture(value: Any) -> bytes | None:
    """The bytes of an image, itself or in base64; None if it is none by its first bytes."""
    if isinstance(value, str):
        match = DATA_URI.match(value)
        text = value[match.end() :] if match else value
        try:  # both alphabets, and without padding
            data = base64.b64decode(text.translate({45: 43, 95: 47}) + "=" * (-len(text.strip()) % 4))
        except (binascii.Error, ValueError):
            return None
        return data if match or _is_picture(data) else None
    return value if isinstance(value, bytes) and _is_picture(value) else None


def _is_picture(data: bytes) -> bool:
    webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    return data.startswith(STARTS) or webp or data[4:8] == b"ftyp"


def _below(kind: pa.DataType, at: ImageColumn) -> Iterator[ImageColumn]:
    """The places below one. A list in a list is none: nobody would know what its images are."""
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
    """Columns that ``datasets`` marks as images, by themselves or in lists; and those that it marks as another medium."""
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
