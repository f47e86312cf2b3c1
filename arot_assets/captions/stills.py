"""The pictures of films and clips as they are sent, kept on this machine: another prompt, schema or model decodes nothing.

Belongs here: keeping and finding them. Does not belong here: which pictures of a film they are (``Medium.moments``), questions.

They lie in the cache of remote objects, named by content and by how they are made, and share its size (``AROT_CACHE_GB``).
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from arot_assets.captions.ask import jpeg
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.media.file import File
from arot_assets.media.medium import Medium
from resources.storage import StorageError
from resources.storage.cache import Cache, default_bytes, default_folder
from resources.storage.objects import ObjectInfo

VERSION = "1"
"""Change it when the same declaration makes other pictures of the same file."""
SUFFIX = ".stills"


def sent_stills(
    medium: Medium, file: Callable[[], File], sample_id: str, declaration: CaptionsDeclaration
) -> tuple[bytes, ...]:
    """The JPEG files of a film or clip that a captioner sends, in order of time.

    Args:
        medium: of the file.
        file: called only if they are not kept here.
        sample_id: names the file's content.
        declaration: with ``stills``.

    Raises:
        DecodeError: the file cannot be decoded.
        StorageError: it cannot be read, or its decoder stalled or crashed.
    """
    assert declaration.stills is not None
    params = [VERSION, medium.name, medium.decoder, declaration.stills, declaration.stills_fps]
    how = json.dumps([*params, declaration.image.model_dump()])
    info = ObjectInfo(f"{sample_id}{SUFFIX}", 0, 0.0, hashlib.sha256(how.encode()).hexdigest())
    cache = Cache(default_folder(), default_bytes())
    kept = cache.get(info)
    if kept is not None:
        return _unpacked(kept)
    shown = medium.moments(file(), declaration.stills, declaration.stills_fps)
    images = tuple(jpeg(picture, declaration.image) for picture in shown)
    with suppress(StorageError):  # a full disk costs the next decode, not this answer
        cache.put(info, _packed(sample_id, images))
    return images


def remove_stills(cache: Cache, samples: Collection[str]) -> int:
    """Remove what is kept of some samples; gives how many entries."""
    return cache.remove_kind(SUFFIX, lambda path: _sample_of(path) in samples)


def _packed(sample_id: str, images: Sequence[bytes]) -> bytes:
    header = json.dumps({"sample_id": sample_id, "sizes": [len(image) for image in images]})
    return header.encode() + b"\n" + b"".join(images)


def _unpacked(data: bytes) -> tuple[bytes, ...]:
    header, _, rest = data.partition(b"\n")
    found: list[bytes] = []
    for size in json.loads(header)["sizes"]:
        found.append(rest[:size])
        rest = rest[size:]
    return tuple(found)


def _sample_of(path: Path) -> str:
    with path.open("rb") as file:
        sample: str = json.loads(file.readline())["sample_id"]
    return sample
