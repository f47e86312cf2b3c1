"""Files and objects for people at a prompt: values in, values out, on every scheme.

Belongs here: the functions that a notebook calls, each a few lines over ``Storage`` and its neighbours: ``formats.py`` (what
bytes mean), ``frames.py`` (tables), ``results.py`` (many at a time), ``previews.py``, ``sheets.py``, ``labels.py``.

::

    from resources import notebook as nb

    nb.ls("s3://bucket/cats", exts="jpg")
    nb.loads("s3://bucket/cats/index.parquet", columns=["uri", "score"])

A URI without a scheme is a local path. Credentials and endpoints come from the environment (``AWS_PROFILE``,
``AWS_ENDPOINT_URL``, ``HF_TOKEN`` …), which a cell may change at any time, or from the ``storage`` that is given. What fails
raises ``StorageError``; its ``kind`` is one word (``not_found``, ``denied``, ``timeout``, ``format`` …).
"""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from resources.notebook import labels as picks
from resources.notebook import sheets
from resources.notebook.formats import encode, format_of, parse
from resources.notebook.frames import as_arrow, convert, default_library
from resources.notebook.hub_dataset import is_dataset, load_dataset, save_dataset
from resources.notebook.image_files import EXTENSIONS
from resources.notebook.previews import Peek, peek_uri, peek_value
from resources.notebook.results import Loaded, load_many
from resources.storage.objects import StorageError, absolute
from resources.storage.storage import Storage
from resources.storage.targets import target_of

Address = str | os.PathLike[str]
IMAGES = EXTENSIONS
"""Extensions of the images that ``loads`` reads, for ``ls``."""
CONFIGURED_BY = ("AWS_", "AROT_", "HF_", "HUGGING_FACE_")
"""Beginnings of the names of variables that say how storage is reached."""
_kept: dict[int, Storage] = {}
_keeping = threading.Lock()


def loads(
    uri: Address,
    *,
    as_: str | None = None,
    extension: str | None = None,
    storage: Storage | None = None,
    **options: Any,
) -> Any:
    """What a file holds, by its extension.

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

    Texts and arrays may be packed (``.csv.gz``). ``hf://owner/repo`` without a path is a dataset of the Hub, as a table;
    its options are ``split``, ``revision``, ``config``, ``columns``, and ``streaming`` for its rows one by one. What lies in
    a tar or in a Parquet file of images has an address too: ``a.tar!/b.jpg``, ``a.parquet!/row/0000000/image``.

    Args:
        uri: where.
        as_: another form of the value, see above.
        extension: take the file for one of this kind, whatever its name.
        storage: reads it; as the environment says when None.
        options: of the kind of file: ``columns``, ``types`` and ``delimiter`` of csv, ``columns`` and ``filters`` of
            parquet, of which only those parts are fetched.

    Raises:
        StorageError: it is not there, cannot be read, or is not what its extension says.
        TypeError: an option that this kind of file has not.
    """
    where, using = _address(uri), storage or default_storage()
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
    """Write a value as a file, by the extension, in one step: a reader sees the old file or the new one.

    Tables (pandas, Polars, Arrow) and lists of dictionaries go to csv, tsv, parquet, json and jsonl; texts and lists of
    lines to txt and md; dictionaries and lists to json, yaml, toml; PIL images and ``uint8`` arrays to images; arrays to
    npy; dictionaries of arrays or tensors to safetensors. A table saved to ``hf://owner/repo`` without a path is a split of
    a dataset of the Hub, private if it is new; its options are ``split``, ``private`` and ``message``.

    Args:
        data: the value.
        uri: where.
        extension: write this kind of file, whatever its name.
        create_only: fail if something is there already.
        storage: writes it; as the environment says when None.
        options: of the kind of file: ``compression``, ``row_group_size`` and ``use_content_defined_chunking`` of parquet
            (on for ``.cdc.parquet``), ``indent`` of json, ``quality`` and others of Pillow for images.

    Returns:
        The URI.

    Raises:
        StorageError: the value is nothing that such a file holds, or the place cannot be written.
        TypeError: an option that this kind of file has not.
    """
    where = _address(uri)
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
    """``loads`` of many URIs at once: a value or an error for each, in their order.

    Args:
        uris: any number, of any schemes.
        workers: threads.
        progress: show a bar, or a function that is told of each that is done.
        retries: so many more tries for what may be better the next time, beyond those of the scheme's own client.
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
        raise TypeError(f"several URIs are expected, not one: [{os.fspath(uris)!r}], or loads()")
    addresses = [_address(uri) for uri in uris]
    return load_many(addresses, load, workers=workers, retries=retries, progress=progress)


def download(uri: Address, path: Address | None = None, *, storage: Storage | None = None) -> Path:
    """An object as a local file.

    Args:
        uri: where it is.
        path: the file to write. None for one of the cache, which is bounded, shared by all processes, and asks whether the
            object changed: read it soon, and do not write to it.
        storage: reads it; as the environment says when None.

    Raises:
        StorageError: it is not there, or the file cannot be written.
    """
    return (storage or default_storage()).download(_address(uri), None if path is None else os.fspath(path))


def concurrent_downloads(
    uris: Iterable[Address],
    folder: Address | None = None,
    workers: int = 16,
    progress: bool | Callable[[int], None] = True,
    *,
    retries: int = 2,
    storage: Storage | None = None,
) -> list[Loaded[Path]]:
    """``download`` of many URIs at once: a local file or an error for each, in their order.

    Args:
        uris: any number, of any schemes.
        folder: below it each object lies at ``scheme/bucket-or-host/path``, so that no two of them meet; None for the cache.
        workers: threads.
        progress: show a bar, or a function that is told of each that is done.
        retries: as of ``concurrent_loads``.
        storage: reads them; as the environment says when None.
    """
    using = storage or default_storage()

    def load(uri: str) -> Path:
        return using.download(uri, None if folder is None else target_of(os.fspath(folder), _place(uri)))

    return load_many([_address(u) for u in uris], load, workers=workers, retries=retries, progress=progress)


def ls(
    uri: Address | Iterable[Address],
    exts: str | Collection[str] | None = None,
    relative: bool = False,
    *,
    storage: Storage | None = None,
) -> list[str]:
    """Every object below a folder, or below several, recursively, in the order of their names.

    The same tree gives the same list on every scheme. ``Storage.ls`` gives sizes and times too, one by one.

    Args:
        uri: a folder or an object, or several of them; an object below two of them is listed once.
        exts: keep only these extensions, with or without their dot, in any case.
        relative: paths below the folder, with ``/`` on every system.
        storage: lists them; as the environment says when None.

    Raises:
        StorageError: a folder is not there or cannot be listed.
    """
    roots = [uri] if isinstance(uri, str | os.PathLike) else list(uri)
    wanted = None
    if exts is not None:
        wanted = {"." + e.lower().lstrip(".") for e in ([exts] if isinstance(exts, str) else exts)}
    using = storage or default_storage()
    found: dict[str, None] = {}
    for root in map(_address, roots):
        listed = sorted(info.uri for info in using.ls(root, wanted))
        found.update(dict.fromkeys(_below(root, one) for one in listed) if relative else dict.fromkeys(listed))
    return list(found)


def peek(data: Any, n: int = 3, *, extension: str | None = None, storage: Storage | None = None) -> Peek:
    """What something is, how much of it there is, and its beginning.

    Args:
        data: a value; or, as text with an extension that is known, a URI of which only the beginning is fetched where
            the kind of file allows (csv, tsv, jsonl, txt, parquet).
        n: rows, elements or keys that are shown.
        extension: take the file for one of this kind, whatever its name.
        storage: reads it; as the environment says when None.

    Raises:
        StorageError: the file is not there, or is not what its extension says.
    """
    if isinstance(data, str | os.PathLike):
        return peek_uri(storage or default_storage(), _address(data), n, extension)
    return peek_value(data, n)


@overload
def presigns(uri: str, seconds: int = 3600, *, storage: Storage | None = None) -> str: ...
@overload
def presigns(uri: list[str], seconds: int = 3600, *, storage: Storage | None = None) -> list[str]: ...
def presigns(uri: str | list[str], seconds: int = 3600, *, storage: Storage | None = None) -> str | list[str]:
    """URLs with which anybody can read these objects for a while; they hold a secret: keep them in no file.

    Args:
        uri: one ``s3://`` object, or several.
        seconds: how long they work.
        storage: signs them; as the environment says when None.

    Raises:
        StorageError: the scheme has no such URLs, or there are no credentials.
    """
    using = storage or default_storage()
    return using.presign(uri, seconds) if isinstance(uri, str) else [using.presign(one, seconds) for one in uri]


def gallery(
    images: Iterable[Any],
    labels: Sequence[Any] | None = None,
    *,
    height: int = 160,
    limit: int = sheets.LIMIT,
    title: str = "",
    workers: int = 16,
    progress: bool = True,
    save: Address | None = None,
    storage: Storage | None = None,
) -> sheets.Gallery:
    """A contact sheet: the last value of a cell shows it. It holds its images, so it can be kept.

    Args:
        images: URIs, results of ``concurrent_loads``, PIL images or ``uint8`` arrays, mixed as they come. One that cannot
            be read has its reason in its place.
        labels: a text for each; file names when None.
        height: of a row, in pixels.
        limit: so many are shown at most; a line tells of the others.
        title: above it.
        workers: threads that read.
        progress: show a bar.
        save: write it there as one HTML file too.
        storage: reads and writes; as the environment says when None.

    Raises:
        ValueError: not one label an image.
        StorageError: the file cannot be written.
    """
    using = storage or default_storage()
    shown, left_out = sheets.make_tiles(
        images, labels, using, height=height, limit=limit, workers=workers, progress=progress
    )
    made = sheets.Gallery(shown, height, title, left_out)
    if save is not None:
        using.write(_address(save), made.page().encode())
    return made


def label_gallery(
    images: Iterable[Any],
    choices: Sequence[str] = ("selected",),
    *,
    labels: Sequence[Any] | None = None,
    chosen: Any = None,
    height: int = 160,
    limit: int = sheets.LIMIT,
    live: bool | None = None,
    workers: int = 16,
    progress: bool = True,
    save: Address | None = None,
    storage: Storage | None = None,
) -> picks.LabelGallery:
    """Images on which labels are picked, with the mouse or the keys 1 to 9; the last value of a cell shows it.

    With ``anywidget`` (extra ``notebook``) the picks are in Python at once: ``.table()``. Without it, and in a saved file,
    the page gives a CSV to download or copy, which ``read_labels`` reads.

    Args:
        images: as of ``gallery``.
        choices: the labels that may be picked.
        labels: a text below each image; file names when None.
        chosen: labels picked before, to go on with: what ``read_labels`` or ``.table()`` gave, or URI -> label.
        height: of a row, in pixels.
        limit: so many are shown at most.
        live: True for the widget, False for the page; None for the widget where it is possible.
        workers: threads that read.
        progress: show a bar.
        save: write the page there as one HTML file too.
        storage: reads and writes; as the environment says when None.

    Raises:
        ValueError: no choice or one twice, not one text an image, or a label that is no choice.
        StorageError: the file cannot be written, or ``live`` is asked for without ``anywidget``.
    """
    using = storage or default_storage()
    shown, _ = sheets.make_tiles(images, labels, using, height=height, limit=limit, workers=workers, progress=progress)
    if chosen is not None and not isinstance(chosen, Mapping):
        rows = as_arrow(chosen, index=False).to_pylist()
        chosen = {row["uri"]: row["label"] for row in rows}
    made = picks.start_labels(shown, choices, chosen, height, live)
    if save is not None:
        using.write(_address(save), made.page().encode())
    return made


def read_labels(source: Address, *, as_: str | None = None, storage: Storage | None = None) -> Any:
    """The labels that were picked on a page of ``label_gallery``: columns ``uri`` and ``label``.

    Args:
        source: the CSV that was downloaded (a path or URI), or its text as it was copied.
        as_: ``pandas`` (default), ``polars`` or ``arrow``.
        storage: reads it; as the environment says when None.

    Raises:
        StorageError: it is not there, or holds no labels.
    """
    where = _address(source)
    if where.lstrip("\ufeff").startswith("uri,label"):
        table = picks.read_rows(where, "this text")
    else:
        table = picks.read_rows((storage or default_storage()).read_bytes(where).decode("utf-8-sig"), f"'{where}'")
    return convert(table, as_ or default_library())


def default_storage() -> Storage:
    """Storage as the environment configures it now; kept while the environment stays as it is."""
    from resources.defaults import default_resources

    now = hash(tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(CONFIGURED_BY))))
    with _keeping:
        if now not in _kept:
            _kept.clear()
            _kept[now] = default_resources().storage
        return _kept[now]


def _address(uri: Address) -> str:
    """A URI as text; a ``Path`` has made ``s3:/b`` of ``s3://b``, which is undone."""
    text = os.fspath(uri)
    scheme, mark, rest = text.partition(":/")
    if isinstance(uri, Path) and mark and "/" not in scheme and not rest.startswith("/"):
        return f"{scheme}://{rest}"
    return text


def _place(uri: str) -> str:
    """A name for a local copy of an object that no other object has."""
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
        raise StorageError(f"the listing of '{root}' told of '{uri}', which is not below it")
    return uri[len(top) + 1 :].replace(os.sep, "/")
