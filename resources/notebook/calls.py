"""Files and objects for interactive use: values in, values out, on every scheme.

Belongs here: the functions that a notebook calls for files, each a few lines on top of ``Storage`` and the modules
beside it: ``formats.py`` (the meaning of bytes), ``frames.py`` (tables), ``results.py`` (many files at once),
``previews.py``. Does not belong here: galleries (``galleries.py``).

::

    from resources import notebook as nb

    nb.ls("s3://bucket/cats", exts="jpg")
    nb.loads("s3://bucket/cats/index.parquet", columns=["uri", "score"])

A URI without a scheme is a local path. Credentials and endpoints come from the environment (``AWS_PROFILE``,
``AWS_ENDPOINT_URL``, ``HF_TOKEN`` …), which a cell may change at any time, or from the ``storage`` argument. Failures
raise ``StorageError``; its ``kind`` is one word (``not_found``, ``denied``, ``timeout``, ``format`` …).
"""

import hashlib
import io
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, overload

from resources.notebook.environment import Address, address_text, default_storage
from resources.notebook.formats import encode, format_of, parse
from resources.notebook.hub_dataset import is_dataset, load_dataset, save_dataset
from resources.notebook.image_files import EXTENSIONS
from resources.notebook.previews import Peek, peek_uri, peek_value
from resources.notebook.results import Loaded, load_many
from resources.storage.objects import StorageError, absolute
from resources.storage.storage import Storage
from resources.storage.targets import target_of

IMAGES = EXTENSIONS
"""Extensions of the images that ``loads`` reads, for ``ls``."""


def loads(
    uri: Address,
    *,
    as_: str | None = None,
    extension: str | None = None,
    storage: Storage | None = None,
    **options: Any,
) -> Any:
    """The contents of a file, interpreted by its extension.

    ======================================  =================================  =====================================
    extension                               gives                              ``as_`` instead
    ======================================  =================================  =====================================
    csv, tsv, parquet                       a pandas table                     ``polars``, ``arrow``
    jsonl                                   a list of values                   ``pandas``, ``polars``, ``arrow``
    json                                    a value                            the same, of a list of dictionaries
    yaml, toml                              a value
    txt, md                                 a list of lines                    ``text``
    jpg, png, webp, heic, avif, tiff …      a PIL image, whole and upright     ``numpy``: ``uint8 [H, W, 3]`` RGB
    npy                                     an array
    safetensors                             name -> array                      ``torch``
    ======================================  =================================  =====================================

    Text and array files may be compressed (``.csv.gz``). ``hf://owner/repo`` without a path is a dataset on the Hub, as
    a table; its options are ``split``, ``revision``, ``config``, ``columns``, and ``streaming`` for its rows one by
    one. Members of a tar and images in a Parquet file have addresses too: ``a.tar!/b.jpg``,
    ``a.parquet!/row/0000000/image``.

    Args:
        uri: the file.
        as_: another type for the value, see above.
        extension: treat the file as this kind, whatever its name.
        storage: reads the file; configured from the environment by default.
        options: depend on the kind of file: ``columns``, ``types`` and ``delimiter`` of csv, ``columns`` and
            ``filters`` of parquet, for which only the selected parts are fetched.

    Raises:
        StorageError: the file is missing, cannot be read, or is not what its extension says.
        TypeError: this kind of file has no such option.
    """
    where, using = address_text(uri), storage or default_storage()
    if is_dataset(where):
        return load_dataset(using, where, as_, **options)
    kind, _ = format_of(where, extension)
    if kind.ranged:
        with using.open(where) as file:
            return parse(file, where, extension, as_, options)
    return parse(io.BytesIO(using.read_bytes(where)), where, extension, as_, options)


def saves(
    data: Any,
    uri: Address,
    *,
    extension: str | None = None,
    create_only: bool = False,
    storage: Storage | None = None,
    **options: Any,
) -> str:
    """Write a value as a file, in the format of its extension, in one step: a reader sees either the old file or the
    new one.

    Tables (pandas, Polars, Arrow) and lists of dictionaries can be written to csv, tsv, parquet, json and jsonl;
    strings and lists of lines to txt and md; dictionaries and lists to json, yaml, toml; PIL images and ``uint8``
    arrays to images; arrays to npy; dictionaries of arrays or tensors to safetensors. A table saved to
    ``hf://owner/repo`` without a path becomes a split of a dataset on the Hub, private if it is new; its options are
    ``split``, ``private`` and ``message``.

    Args:
        data: the value.
        uri: the file.
        extension: write this kind of file, whatever its name.
        create_only: fail if something is there already.
        storage: writes the file; configured from the environment by default.
        options: depend on the kind of file: ``compression``, ``row_group_size`` and ``use_content_defined_chunking`` of
            parquet (on for ``.cdc.parquet``), ``indent`` of json, ``quality`` and other options of Pillow for images.

    Returns:
        The URI.

    Raises:
        StorageError: this kind of file cannot hold the value, or the file cannot be written.
        TypeError: this kind of file has no such option.
    """
    where = address_text(uri)
    if is_dataset(where):
        return save_dataset(storage or default_storage(), data, where, create_only=create_only, **options)
    encoded = encode(data, where, extension, options)
    (storage or default_storage()).write(where, encoded, create_only)
    return where


def concurrent_loads(
    uris: Iterable[Address],
    workers: int = 16,
    progress: bool | Callable[[int], None] = True,
    *,
    retries: int = 2,
    as_: str | None = None,
    extension: str | None = None,
    storage: Storage | None = None,
    **options: Any,
) -> list[Loaded[Any]]:
    """``loads`` for many URIs concurrently: a value or an error for each, in order.

    Args:
        uris: any number, of any schemes.
        workers: threads.
        progress: show a bar, or a function to call after each one.
        retries: additional attempts for failures that may be temporary, beyond those of the scheme's own client.
        as_: see ``loads``.
        extension: see ``loads``.
        storage: see ``loads``.
        options: see ``loads``.

    Returns:
        ``Loaded(uri, value, error)`` for each; ``unwrap()`` gives the value or raises the error.
    """
    using = storage or default_storage()

    def load(uri: str) -> Any:
        return loads(uri, as_=as_, extension=extension, storage=using, **options)

    if isinstance(uris, str | os.PathLike):
        raise TypeError(f"expected several URIs, got one; pass [{os.fspath(uris)!r}], or use loads()")
    addresses = [address_text(uri) for uri in uris]
    return load_many(addresses, load, workers=workers, retries=retries, progress=progress)


def download(uri: Address, path: Address | None = None, *, storage: Storage | None = None) -> Path:
    """An object as a local file.

    Args:
        uri: the object.
        path: the file to write. None uses the cache, which is bounded, shared by all processes, and checks whether the
            object changed: read the file soon, and do not write to it.
        storage: reads the object; configured from the environment by default.

    Raises:
        StorageError: the object is missing, or the file cannot be written.
    """
    return (storage or default_storage()).download(address_text(uri), None if path is None else os.fspath(path))


def concurrent_downloads(
    uris: Iterable[Address],
    folder: Address | None = None,
    workers: int = 16,
    progress: bool | Callable[[int], None] = True,
    *,
    retries: int = 2,
    storage: Storage | None = None,
) -> list[Loaded[Path]]:
    """``download`` for many URIs concurrently: a local file or an error for each, in order.

    Args:
        uris: any number, of any schemes.
        folder: each object is stored in it as ``scheme/bucket-or-host/path``, so that names never collide; None for the
            cache.
        workers: threads.
        progress: show a bar, or a function to call after each one.
        retries: see ``concurrent_loads``.
        storage: reads the objects; configured from the environment by default.
    """
    using = storage or default_storage()

    def load(uri: str) -> Path:
        return using.download(uri, None if folder is None else target_of(os.fspath(folder), _place(uri)))

    return load_many([address_text(u) for u in uris], load, workers=workers, retries=retries, progress=progress)


def ls(
    uri: Address | Iterable[Address],
    exts: str | Collection[str] | None = None,
    relative: bool = False,
    *,
    storage: Storage | None = None,
) -> list[str]:
    """Every object below one or more folders, recursively, sorted by name.

    The same tree gives the same list on every scheme. ``Storage.ls`` also gives sizes and times, one object at a time.

    Args:
        uri: a folder or an object, or several of them; an object below two of them is listed once.
        exts: keep only these extensions, with or without the dot, in any case.
        relative: return paths below the folder, with ``/`` on every system.
        storage: lists the folders; configured from the environment by default.

    Raises:
        StorageError: a folder is missing or cannot be listed.
    """
    roots = [uri] if isinstance(uri, str | os.PathLike) else list(uri)
    wanted = None
    if exts is not None:
        wanted = {"." + e.lower().lstrip(".") for e in ([exts] if isinstance(exts, str) else exts)}
    using = storage or default_storage()
    found: dict[str, None] = {}
    for root in map(address_text, roots):
        listed = sorted(info.uri for info in using.ls(root, wanted))
        found.update(dict.fromkeys(_below(root, one) for one in listed) if relative else dict.fromkeys(listed))
    return list(found)


def peek(data: Any, n: int = 3, *, extension: str | None = None, storage: Storage | None = None) -> Peek:
    """A preview: what something is, how much of it there is, and its beginning.

    Args:
        data: a value; or a URI, as text with a known extension, of which only the beginning is fetched where the kind
            of file allows it (csv, tsv, jsonl, txt, parquet).
        n: how many rows, elements or keys are shown.
        extension: treat the file as this kind, whatever its name.
        storage: reads the file; configured from the environment by default.

    Raises:
        StorageError: the file is missing, or is not what its extension says.
    """
    if isinstance(data, str | os.PathLike):
        return peek_uri(storage or default_storage(), address_text(data), n, extension)
    return peek_value(data, n)


@overload
def presigns(uri: str, seconds: int = 3600, *, storage: Storage | None = None) -> str: ...
@overload
def presigns(uri: list[str], seconds: int = 3600, *, storage: Storage | None = None) -> list[str]: ...
def presigns(uri: str | list[str], seconds: int = 3600, *, storage: Storage | None = None) -> str | list[str]:
    """URLs that let anybody read these objects for a while; they contain a secret: do not store them in files.

    Args:
        uri: one ``s3://`` object, or several.
        seconds: how long they are valid.
        storage: signs them; configured from the environment by default.

    Raises:
        StorageError: the scheme has no such URLs, or there are no credentials.
    """
    using = storage or default_storage()
    return using.presign(uri, seconds) if isinstance(uri, str) else [using.presign(one, seconds) for one in uri]


def _place(uri: str) -> str:
    """A relative path for a local copy of an object, different for every object."""
    if "://" not in absolute(uri):
        return f"file{absolute(uri)}"
    path, mark, query = uri.replace("://", "/", 1).partition("?")
    if not mark:
        return path
    stem, dot, extension = path.rpartition(".")
    digest = hashlib.sha256(query.encode()).hexdigest()[:16]
    return f"{stem}-{digest}.{extension}" if dot and "/" not in extension else f"{path}-{digest}"


def _below(root: str, uri: str) -> str:
    top = absolute(root).rstrip("/")
    if uri == top:
        return uri.rsplit("/", 1)[-1]
    if not uri.startswith(f"{top}/"):
        raise StorageError(f"the listing of '{root}' contains '{uri}', which is not below it")
    return uri[len(top) + 1 :].replace(os.sep, "/")
