"""Whether the machines of a cluster can do the work of this one: they have the same arot, and see the same store and source.

Belongs here: what is asked of a machine before its first unit, and what people are told of the answers. Does not belong here:
the cluster (``resources.compute``), the work.

Without this, a machine with other code makes other tables under the same version, and one that does not see the source makes rows
that say that every file is unreadable.
"""

import hashlib
import importlib.metadata
import platform
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from arot_assets.project import metrics_folder
from resources.compute import Compute, Needs, Node
from resources.errors import ArotError
from resources.models.entries import own_files
from resources.root import REPOSITORY, NoProjectError, project_root
from resources.storage import StorageError
from resources.storage.objects import is_local
from resources.tables import Hold, Tables
from resources.tables.tables import STORE_VARIABLE

PACKAGES = (
    *("av", "duckdb", "numba", "numpy", "onnxruntime", "open_clip_torch", "opencv-python", "pillow", "pillow-heif"),
    *("pyarrow", "scipy", "simplejpeg", "timm", "torch", "torchvision", "transformers"),
)
"""Whose versions decide numbers."""
PARTS = ("arot_assets", "resources")
"""The packages whose code runs on machines."""
NOT_RUN = ("defs", "template")
"""Folders of the first that no machine of a cluster reads: what is declared is sent, what new projects get is not wanted."""
SUFFIXES = (".py", ".yaml", ".json")
SHOWN = 3
"""Packages and machines that an error names of each kind."""
_asked: dict[str, set[str]] = {}
"""What was asked -> the machines that answered well; a machine is asked once by a process."""


class NodeError(ArotError):
    """Machines of a cluster that would not make the tables of this one."""


@dataclass(frozen=True)
class Mark:
    """A reservation in the store that every machine which sees the same store finds taken."""

    token: str

    @property
    def path(self) -> str:
        """See ``StorePath``."""
        return f"nodes/{self.token}"


@dataclass(frozen=True)
class Seen:
    """What a machine has, and what it sees.

    Attributes:
        versions: name -> version, of Python and of ``PACKAGES``; empty for what is not installed.
        code: digest of arot's code.
        own: digest of the project's own metrics and models; empty for none.
        problems: why it cannot work on the store and the sources.
    """

    versions: Mapping[str, str]
    code: str
    own: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class RollCall:
    """What a machine is asked; called there.

    Attributes:
        tables: the store.
        mark: reserved in it by whoever asks.
        sources: folders and prefixes whose files will be read.
    """

    tables: Tables
    mark: Mark
    sources: tuple[str, ...]

    def __call__(self) -> Seen:
        """The answer of the machine that this runs on."""
        return replace(_here(), problems=tuple(self._problems()))

    def _problems(self) -> Iterator[str]:
        root = self.tables.root
        try:
            held = self.tables.leases.take([self.mark])
            if isinstance(held, Hold):
                held.end()
                yield f"another store is at '{root}' there; {_shared(root, f'set {STORE_VARIABLE} to')}"
            else:
                with self.tables.leases.take([Mark(uuid.uuid4().hex)]):  # type: ignore[union-attr]  # nobody else has it
                    pass
        except StorageError as error:
            yield f"the store cannot be used there, with the variables that `ray start` had: {error}"
            return
        for source in self.sources:
            try:
                there = self.tables.storage.exists(source) or self.tables.storage.is_folder(source)
                why = f"the source '{source}' is not there; {_shared(source, 'move it to')}"
            except StorageError as error:
                there, why = False, f"the source cannot be read there, with the variables that `ray start` had: {error}"
            if not there:
                yield why


def meet(compute: Compute, tables: Tables, needs: Needs, sources: Collection[str] = ()) -> str:
    """Make sure that every machine of the cluster can make the tables of this one; each is asked once by a process.

    Args:
        compute: the engine; the local one has no machines.
        tables: the store.
        needs: of the units to come.
        sources: folders and prefixes whose files will be read.

    Returns:
        What there is, in words; empty for the local engine.

    Raises:
        ComputeError: the cluster cannot be joined, or has no room for such units.
        NodeError: some machines would not make the same tables; it names them and the reason.
        StorageError: the store cannot be written from here.
    """
    if compute.is_local:
        return ""
    nodes = compute.nodes()
    subject = "\n".join([tables.root, *sources])
    known = _asked.setdefault(subject, set())
    new = [node for node in nodes if node.id not in known]
    if new:
        mark = Mark(uuid.uuid4().hex)
        with tables.leases.take([mark], "asks the machines of a cluster"):  # type: ignore[union-attr]  # the name is new
            roll_call = RollCall(tables, mark, tuple(sources))
            answers = list(compute.ask(roll_call, new, needs))
        if problems := _told(answers):
            raise NodeError("; ".join(problems))
        known.update(node.id for node, _ in answers)
    return inventory_of(nodes)


def inventory_of(nodes: Sequence[Node]) -> str:
    """How many machines there are, with what, in words."""
    cores, gpus = sum(node.cores for node in nodes), sum(node.gpus for node in nodes)
    return f"{_count(len(nodes), 'machine')}, {_count(cores, 'core')}, {_count(gpus, 'GPU')}"


def _told(answers: Sequence[tuple[Node, Seen | Exception]]) -> list[str]:
    """One text for each kind of problem: which machines have it, and what to do."""
    mine = _here()
    names: dict[str, list[str]] = {}
    for node, answer in answers:
        for problem in _problems_of(answer, mine):
            names.setdefault(problem, []).append(node.name)
    return [f"{_some(machines)} of the cluster: {problem}" for problem, machines in names.items()]


def _problems_of(answer: Seen | Exception, mine: Seen) -> Iterator[str]:
    if isinstance(answer, Exception):
        text = " ".join(str(answer).split())
        if "No module named" in text or isinstance(answer, ImportError | AttributeError):
            missing = text[text.rfind("No module named") :].split(" ")[3:4]
            which = f" (no module {missing[0].rstrip('.')})" if missing else ""
            yield f"no arot, or another version of it{which}; install the same one there, in the environment that runs Ray"
        else:
            yield f"cannot answer: {text}"
        return
    if answer.code != mine.code:
        yield "another version of arot; install the same one there, and start this again"
    other = [
        f"{name} {answer.versions.get(name) or 'absent'} instead of {version or 'none'}"
        for name, version in mine.versions.items()
        if answer.versions.get(name) != version
    ]
    if other:
        more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        yield f"other packages, which may give other numbers: {', '.join(other[:SHOWN])}{more}; install the same there"
    if answer.own != mine.own:
        yield "this project's metrics and models are not there under the same path; copy or mount the project there"
    yield from answer.problems


def _here() -> Seen:
    """What this machine has now."""
    try:
        folder = metrics_folder()
    except NoProjectError:
        folder = None
    own = [*(folder.glob("*.py") if folder else ()), *own_files().values()]
    return replace(_installed(), own=_digest(project_root(), own) if own else "")


@cache
def _installed() -> Seen:
    """What a process runs as long as it lives."""
    versions = {"Python": ".".join(platform.python_version_tuple()[:2])} | {name: _version(name) for name in PACKAGES}
    code = [
        file
        for part in PARTS
        for file in (REPOSITORY / part).rglob("*")
        if file.suffix in SUFFIXES and file.relative_to(REPOSITORY / part).parts[0] not in NOT_RUN
    ]
    return Seen(versions, _digest(REPOSITORY, code), "")


def _version(package: str) -> str:
    """As people name it: without the mark of a build for one kind of GPU; empty if it is not installed."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _digest(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the names below a folder, and of the contents."""
    found = hashlib.sha256()
    for name, file in sorted((file.relative_to(root).as_posix(), file) for file in files):
        data = file.read_bytes()
        found.update(f"{name} {len(data)}\n".encode() + data)
    return found.hexdigest()


def _shared(uri: str, verb: str) -> str:
    """What to do about a place that a machine does not see."""
    if is_local(uri):
        return f"it is a folder of one machine: {verb} s3://…, or a folder that all machines have under the same path"
    return "check its address and the credentials there"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{'machine' if len(names) == 1 else 'machines'} {', '.join(names[:SHOWN])}{more}"


def _count(number: float, one: str) -> str:
    return f"{number:g} {one}{'' if number == 1 else 's'}"
