"""The table of a captioner: its columns, and the version that current rows carry.

Belongs here: what a row holds, and what its values depend on. Does not belong here: filling it (``build.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.fields import field_columns
from arot_assets.captions.prompt import Prompt
from arot_assets.columns import RESERVED, Column
from arot_assets.metrics.metric import metric_schema, metric_version

CODE_VERSION = "1"
"""Change it when the same answer becomes another row."""
TEXT = "text"
ANSWER = (
    Column(TEXT, pa.string(), "the model's words as it gave them; with `fields`, JSON"),
    Column("prompt", pa.string(), "first 12 hex digits of the SHA-256 of the text that was asked, without the images"),
    Column("model", pa.string(), "the model that was asked"),
    Column("served_model", pa.string(), "the model that the server says answered"),
    Column("seed", pa.int64(), "of the answer that counts; a repaired one has another than the first"),
    Column("tokens_in", pa.int64(), "tokens of prompts and images, of all tries that were answered"),
    Column("tokens_out", pa.int64(), "tokens of answers, of all tries that were answered"),
    Column("cost", pa.float64(), "cost of these tokens, by the declared `price`"),
    Column("seconds", pa.float32(), "from the first request to the last answer, waiting included"),
    Column("attempts", pa.int32(), "requests that were sent"),
    Column("finish_reason", pa.string(), "why the model stopped: stop, length …"),
    Column("answered_at", pa.timestamp("us", tz="UTC"), "when the last answer came, UTC"),
)
FACTS = tuple(column.name for column in ANSWER if column.name != TEXT)
"""Columns that a failed row has too: what was paid counts, whatever came of it."""


@dataclass(frozen=True)
class CaptionTable:
    """The table of a captioner, as the building of metric tables takes it.

    Attributes:
        name: the table: ``<dataset>.<name>``.
        columns: of a row, without those of every metric table.
    """

    name: str
    columns: tuple[Column, ...]

    def schema(self) -> pa.Schema:
        """The Arrow schema, with descriptions in the field metadata."""
        return metric_schema(self.columns)


def caption_table(declaration: CaptionsDeclaration) -> CaptionTable:
    """The table of a declaration.

    Raises:
        FieldsError: its ``fields`` cannot be columns.
    """
    taken = (*RESERVED, *(column.name for column in ANSWER))
    own = field_columns(declaration.fields, taken) if declaration.fields is not None else ()
    return CaptionTable(declaration.name, (*own, *ANSWER))


def caption_version(declaration: CaptionsDeclaration, prompt: Prompt) -> str:
    """The version of rows: of the prompt's text, the model, and how it is asked; not of the server's address.

    What a prompt reads from other tables does not count: a better tagger does not pay for every caption again. The column
    ``prompt`` says what was asked; ``version:`` in the declaration asks again.
    """
    local = declaration.local
    params: Mapping[str, object] = {
        "version": declaration.version,
        "prompt": prompt.text,
        "system": declaration.system,
        "fields": declaration.fields,
        "image": declaration.image.model_dump(),
        "sampling": declaration.sampling.model_dump(),
        "model": declaration.model,
        "revision": local.revision if local else "",
    }
    if local and local.trust_remote_code:
        params = {**params, "code": local.files}
    if declaration.beside:  # without, the version is that of before they could be declared
        params = {**params, "beside": declaration.beside}
    if declaration.stills is not None:
        params = {**params, "stills": [declaration.stills, declaration.stills_fps]}
    return metric_version(declaration.name, CODE_VERSION, params)
