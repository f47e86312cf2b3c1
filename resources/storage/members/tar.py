"""The files in a tar: where each begins, and their bytes.

Belongs here: reading one tar file of this machine. Does not belong here: bringing it here (``members.py``).

Nothing is ever unpacked, so no name of a member can lead anywhere: names are looked up in the index and nowhere else.
"""

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Member:
    """One file in a tar.

    Attributes:
        offset: where its bytes begin.
        size: their number.
        mtime: seconds since the epoch, as its header says.
    """

    offset: int
    size: int
    mtime: float


class TarMembers:
    """A tar that is open. Safe in threads.

    Attributes:
        files: name -> member, in the order of the archive; of two with one name the later. Folders, links and devices are
            no files, and not in it. A name that is not UTF-8 has its odd bytes written as ``\\xNN``.
        problem: why the archive ends early, None if it is whole.

    Raises:
        OSError: it cannot be read at all.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.files: dict[str, Member] = {}
        self.problem: str | None = None
        end = os.fstat(self._file.fileno()).st_size
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as archive:
                for one in archive:
                    if not one.isfile() or one.issparse():
                        continue
                    if one.offset_data + one.size > end:
                        self.problem = f"it is cut short in '{shown(one.name)}'"
                        return
                    self.files[shown(one.name)] = Member(one.offset_data, one.size, float(one.mtime))
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            self.problem = str(error) or type(error).__name__

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes | None:
        """Bytes of a file, None if there is no such file."""
        member = self.files.get(name)
        if member is None:
            return None
        stop = member.size if end is None else min(end, member.size)
        return os.pread(self._file.fileno(), max(0, stop - start), member.offset + start)


def shown(name: str) -> str:
    """A name of a member as text of an address."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
