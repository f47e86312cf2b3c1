"""What the bytes of a file mean: the kinds of files, by extension.

Belongs here: which extension means what, and the options and errors that all kinds share. Does not belong here: each
kind's reader and writer (``table_files.py``, ``text_files.py``, ``array_files.py``, ``image_files.py``), accessing
files (``storage.py``).

A text or array file whose name ends in ``.gz`` is decompressed and compressed.
"""

import gzip
import inspect
import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from resources.notebook import array_files as arrays
from resources.notebook import image_files as images
from resources.notebook import table_files as tables
from resources.notebook import text_files as texts
from resources.notebook.frames import TABLES, default_library
from resources.storage.objects import StorageError

NEAR = 30
"""Characters that an error shows before and after the one that is wrong."""


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: what users call it.
        extensions: in lower case, with the dot.
        read: ``(file, as_, **options)`` -> a value.
        write: ``(value, **options)`` -> bytes.
        kinds: the values that ``as_`` accepts; the first is the default.
        packs: whether ``.gz`` may follow.
        ranged: whether ``read`` fetches only the parts that it needs of a large file.
    """

    name: str
    extensions: tuple[str, ...]
    read: Callable[..., Any]
    write: Callable[..., bytes]
    kinds: tuple[str, ...]
    packs: bool = False
    ranged: bool = False


FORMATS = (
    Format("CSV", (".csv",), tables.read_csv, tables.write_csv, TABLES, packs=True),
    Format("TSV", (".tsv",), tables.read_tsv, tables.write_tsv, TABLES, packs=True),
    Format("Parquet", (".cdc.parquet",), tables.read_parquet, tables.write_chunked_parquet, TABLES, ranged=True),
    Format("Parquet", (".parquet", ".pq"), tables.read_parquet, tables.write_parquet, TABLES, ranged=True),
    Format("JSON lines", (".jsonl", ".ndjson"), texts.read_jsonl, texts.write_jsonl, ("values", *TABLES), packs=True),
    Format("JSON", (".json",), texts.read_json, texts.write_json, ("value", *TABLES), packs=True),
    Format("text", (".txt", ".md"), texts.read_text, texts.write_text, ("lines", "text"), packs=True),
    Format("YAML", (".yaml", ".yml"), texts.read_yaml, texts.write_yaml, ("value",), packs=True),
    Format("TOML", (".toml",), texts.read_toml, texts.write_toml, ("value",), packs=True),
    Format("NumPy", (".npy",), arrays.read_npy, arrays.write_npy, ("numpy",), packs=True),
    Format("safetensors", (".safetensors",), arrays.read_safetensors, arrays.write_safetensors, ("numpy", "torch")),
    Format("image", images.EXTENSIONS, images.read_image, images.write_image, ("pil", "numpy")),
)


def format_of(uri: str, extension: str | None = None) -> tuple[Format, bool]:
    """The kind of file that a URI names, and whether it is compressed with gzip.

    Args:
        uri: its extension decides, in any case; the query of an ``http(s)://`` address is ignored.
        extension: treat the file as one with this extension, whatever its name (``csv``, ``.json.gz``).

    Raises:
        StorageError: the extension is unknown.
    """
    if extension is not None:
        name = "." + extension.lower().lstrip(".")
    else:
        path = urlsplit(uri).path if uri.lower().startswith(("http://", "https://")) else uri
        name = path.rstrip("/").rsplit("/", 1)[-1].lower()
    packed = name.endswith(".gz")
    bare = name.removesuffix(".gz")
    for one in FORMATS:
        if bare.endswith(one.extensions) and (one.packs or not packed):
            return one, packed
    known = " ".join(sorted(e for f in FORMATS for e in f.extensions))
    raise StorageError(f"'{uri}' has no known extension; pass extension= with one of {known}", kind="format")


def parse(file: IO[bytes], uri: str, extension: str | None, as_: str | None, options: Mapping[str, Any]) -> Any:
    """The value that a file contains.

    Raises:
        StorageError: the bytes are not what the extension says; its kind is ``format``.
        TypeError: this kind of file has no such option, or no such ``as_``.
    """
    kind, packed = format_of(uri, extension)
    if as_ is not None and as_ not in kind.kinds:
        raise TypeError(f"{kind.name} can be read as as_={' or '.join(map(repr, kind.kinds))}, not {as_!r}")
    _check_options(kind, kind.read, options)
    wanted = as_ or (default_library() if kind.kinds == TABLES else kind.kinds[0])
    try:
        return kind.read(io.BytesIO(gzip.decompress(file.read())) if packed else file, wanted, **options)
    except StorageError:
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StorageError(f"cannot unpack '{uri}': {error}; it is truncated, or not gzip", kind="format") from error
    except Exception as error:  # each parser has its own errors; all mean that the bytes are wrong
        raise StorageError(
            f"cannot read '{uri}' as {kind.name}: {str(error) or type(error).__name__}; check that the file is complete, or "
            "pass its real kind as extension=",
            kind="format",
        ) from error


def encode(data: Any, uri: str, extension: str | None, options: Mapping[str, Any]) -> bytes:
    """A value as the bytes of a file.

    Raises:
        StorageError: the value cannot be written in this format; its kind is ``format``.
        TypeError: this kind of file has no such option.
    """
    kind, packed = format_of(uri, extension)
    _check_options(kind, kind.write, options)
    try:
        if kind.write is images.write_image:
            raw = images.write_image(data, images.codec(uri, extension), **options)
        else:
            raw = kind.write(data, **options)
    except StorageError:
        raise
    except UnicodeEncodeError as error:
        text = error.object[: error.start].rpartition("\n")[2][-NEAR:]
        text += error.object[error.start : error.end + NEAR].partition("\n")[0]
        raise StorageError(
            f"cannot write '{uri}': '…{text}…' in it is not UTF-8, as file names can be; rename the file",
            kind="format",
        ) from error
    except Exception as error:  # as in ``parse``
        raise StorageError(
            f"cannot write a {type(data).__name__} to '{uri}' as {kind.name}: {str(error) or type(error).__name__}",
            kind="format",
        ) from error
    return gzip.compress(raw, mtime=0) if packed else raw


def _check_options(kind: Format, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    if function is tables.write_chunked_parquet:
        function = tables.write_parquet
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise TypeError(f"{kind.name} has no option '{name}'" + (f"; it has {', '.join(known)}" if known else ""))
