"""Taking the paths of a machine out of what leaves it: what is published or exported holds no absolute local path.

Belongs here: telling paths in texts, and what stays of each. Does not belong here: which texts leave (the rooms ``exports`` and
``report``).

The rule, the same for every text (addresses, reasons, JSON, SQL, cards, captions):

- Of what lies below a source of the dataset, today's or an earlier one, the part below it stays: ``sea/x.jpg``.
- Of any other absolute path the last name stays: ``/mnt/old/x.jpg`` -> ``x.jpg``; of what lies in an archive, the archive's
  name too: ``/mnt/a.tar!/b/x.jpg`` -> ``a.tar!/b/x.jpg``. A home folder becomes ``~``: its name is a person's.
- A path is what begins with ``/`` and has two names or more, or one that has an extension or is a usual folder of the root
  (``/tmp``); a drive (``C:\\x``), a share (``\\\\nas\\x``), ``~/x``, ``file:…`` and any ``scheme:///…``. In the middle of a text
  it is told where no letter, digit or closing bracket stands before it; in quotes with its blanks; in JSON as what the string
  stands for.
- So a person's words stay as they are: ``black/white``, ``w/ a hat``, ``1/2``, ``/imagine a cat``, ``\\(cat\\)``, ``:/``. So do
  addresses of the web, of buckets and of the Hub, and pictures in base64.
"""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from resources.storage.objects import absolute, is_local

LONGEST = 4096
"""Characters of a path; what is longer is none (PATH_MAX of Linux)."""
NAME_MAX = 255
"""Characters of a name, and how far back of a path its beginning is looked for."""
LONE = "Users|Volumes|data|etc|home|media|mnt|opt|root|scratch|srv|tmp|usr|var"
"""Folders of the root that are a path without a second name."""
TOP = (
    f"{LONE}|Applications|Library|System|bin|boot|cache|cluster|content|datasets|dbfs|dev|efs|export|fsx|gpfs|kaggle|lib|lustre|"
    "mount|net|nfs|nix|private|proc|projects?|raid|run|sbin|shared?|snap|ssd|storage|store|sys|work|workdir|workspace"
)
"""First names of absolute paths on Linux, macOS, network stores and rented machines."""
_NAME = r"(?:[^\s\"'`<>|/\\\x00-\x1f\u201c\u201d]|\\\x20)"
"""A character of a name as it stands in a text; the shell writes a blank as backslash and blank."""
_SLASH = r"(?:\\{0,3}/)+"
"""As it is, or escaped as in some JSON."""
_EITHER = r"[\\/]+"
_WORD = rf"(?:(?![,;:]+(?:[/~\\]|[A-Za-z]:[\\/])){_NAME})++"
"""A name; in a list of paths it ends where the next one begins."""
_EXTENSION = r"\.[A-Za-z][A-Za-z0-9]{0,4}(?![\w/\\])"
_MORE = (
    r"(?:(?<!\.\w)(?<!\.\w\w)(?<!\.\w\w\w)(?<!\.\w\w\w\w)\x20"
    rf"(?=\w[^\s\\/]{{0,{NAME_MAX}}}+[\\/]+[^\s\\/]{{0,{NAME_MAX}}}?(?:[\\/]\S|\.\w{{1,5}}\b))"
    rf"{_WORD}(?:{_EITHER}{_WORD})+)*"
)
"""A name with a blank in the middle of a path: what follows the blank has slashes too, unlike ``and/or``."""
_LINE = r"(?<=\\n)|(?<=\\r)|(?<=\\t)"
"""A path may follow an escaped line break, whose letter is no part of a word."""
_TOKEN = re.compile(
    rf"(?P<file>(?<![A-Za-z0-9])(?:file:{_EITHER}|(?!file:)[a-z][a-z0-9+.-]{{0,31}}:/{{3,}})[^\s\"'`<>|]+)"
    r"|(?P<web>(?<![A-Za-z0-9])[a-z][a-z0-9+.-]{1,31}://[^\s\"'`<>|]*)"
    r"|(?P<base64>(?<=base64,)\S+|(?<![\w/])/9j/[A-Za-z0-9+/=]{20,})"
    rf"|(?P<drive>(?:(?<![A-Za-z0-9_])|{_LINE})[a-z]:{_EITHER}{_WORD}(?:{_EITHER}{_WORD})*{_MORE}[\\/]*)"
    rf"|(?P<share>(?<![\\\w])\\\\+[\w.$?-]+\\+{_WORD}(?:{_EITHER}{_WORD})*{_MORE}[\\/]*)"
    rf"|(?P<home>(?<![\w.~/\\])~(?:[a-z_][\w-]{{0,31}}(?=\S{{0,{NAME_MAX}}}?{_EXTENSION}))?(?:{_SLASH}{_WORD})+{_MORE}/*)"
    rf"|(?P<top>(?:(?<![A-Za-z0-9_.~!/\\-])|{_LINE}){_SLASH}(?:{TOP})(?:{_SLASH}{_WORD})+{_MORE}/*)"
    rf"|(?P<path>(?:(?<![\w.~)\]}}*+&#%!?/\\-])|{_LINE}){_SLASH}"
    rf"(?:{_WORD}(?:{_SLASH}{_WORD})+{_MORE}/*|(?:{LONE})(?![\w@-]|\.\w)/*|{_NAME}{{0,{NAME_MAX}}}?{_EXTENSION}))",
    re.IGNORECASE,
)
_BEGINS = rf"(?:file:{_EITHER}|[a-z][a-z0-9+.-]{{0,31}}:/{{3,}}|[a-z]:{_EITHER}|\\\\+\w|~/|/)(?=[^\s/\\])"
_BEGINNING = re.compile(_BEGINS, re.IGNORECASE)
_QUOTED = re.compile(rf"(?P<mark>['\"`])(?P<inner>{_BEGINS}[^\n]{{0,{LONGEST}}}?)(?P=mark)", re.IGNORECASE)
_JSON_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_HOME = re.compile(r"(?:(?:^|[\\/])(?:home|users)[\\/]+[^\\/]+|^[\\/]*root|^~)\Z", re.IGNORECASE)
_THIS_MACHINE = re.compile(r"[a-z]+://(?:localhost|127\.[\d.]+|0\.0\.0\.0|\[::1\])(?::\d+)?(?:/|\Z)", re.IGNORECASE)
_TRAILING = re.compile(r"[.,;:!?)\]}\u3002\uff0c]+\Z")
_MEMBER = "!/"
_SUSPECT = r"[/\\]"
"""No text without one of these holds a path."""
_MAYBE = re.compile(
    r"(?:\A|[^A-Za-z0-9_.!/\\-]|\\[nrt])(?:\\{0,3}/+[^\s/]|[a-z]:[\\/])|\\\\|file:|:/{3}|~[\w-]{0,32}/|\\u00(?:2f|5c|7e)"
    r"|://(?:localhost|127\.|0\.0|\[::1)",
    re.IGNORECASE,
)
"""No text without one of these holds a path, unless it is a root: most texts with a slash are told quickly to hold none."""


class LocalPaths:
    """Takes local paths out of texts.

    Args:
        roots: addresses of sources, of any scheme; what lies in one inside another is told by the inner one.
    """

    def __init__(self, roots: Iterable[str] = ()) -> None:
        whole = {absolute(root).rstrip("/") for root in roots} - {""}
        self._roots = {form: root for root in whole for form in _forms(root)}
        names = "|".join(re.escape(form) for form in sorted(self._roots, key=len, reverse=True))
        self._below = re.compile(rf"(?P<root>{names})(?:(?P<slash>{_SLASH})(?={_NAME})|(?![\w-]|\.\w|{_SLASH}))")

    def removed(self, text: str) -> str:
        """The text without local paths; one that has none comes back as it is. A second time changes nothing more."""
        while (shorter := self._once(text)) != text:  # what is left of one path may be the beginning of another
            text = shorter
        return text

    def removed_from(self, array: pa.Array) -> pa.Array:
        """An array whose texts, however deep in lists and structs, hold no local path; of the same type."""
        kind = array.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._removed_from_texts(array)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            array = array.take(pa.array(range(len(array)), pa.int64()))  # no slice any more: its offsets begin at zero
            made = pa.ListArray if pa.types.is_list(kind) else pa.LargeListArray
            return made.from_arrays(array.offsets, self.removed_from(array.values), type=kind, mask=array.is_null())
        if pa.types.is_struct(kind) and kind.num_fields:
            children = [self.removed_from(child) for child in array.flatten()]
            return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
        return array

    def _removed_from_texts(self, array: pa.Array) -> pa.Array:
        suspect = pc.fill_null(pc.match_substring_regex(array, _SUSPECT), False)
        if not pc.any(suspect).as_py():
            return array
        changed = [self.removed(text) for text in array.filter(suspect).to_pylist()]
        return pc.replace_with_mask(array, suspect, pa.array(changed, array.type))

    def _once(self, text: str) -> str:
        if not _MAYBE.search(text) and not (self._roots and self._below.search(text)):
            return text
        if "\\" in text:
            text = _JSON_STRING.sub(self._in_json_string, text)
        if self._roots:
            text = self._below.sub(self._below_root, text)
        lines = (_shown(one) if _is_whole(one) and _paths(one) < 2 else one for one in text.split("\n"))
        text = "\n".join(lines)
        return _TOKEN.sub(self._in_text, _QUOTED.sub(_in_quotes, text))

    def _in_json_string(self, found: re.Match[str]) -> str:
        """A string that has escapes is looked at as what it stands for, JSON in it too."""
        if "\\" not in found[0]:
            return found[0]
        try:
            inner = json.loads(found[0])
        except ValueError:
            return found[0]
        shown = self.removed(inner)
        return found[0] if shown == inner else json.dumps(shown, ensure_ascii=False)

    def _below_root(self, found: re.Match[str]) -> str:
        root, before = self._roots[found["root"]], found.string[max(0, found.start() - NAME_MAX) : found.start()]
        part_of_another = re.search(r"(?:\A|[^\w./-])/[\w./-]*[\w.-]\Z", before)
        short = root.count("/") < 2 and re.search(r"[\w./\\-]\Z", before)  # `/data` is a part of many paths
        if part_of_another or short:
            return found[0]
        if found["slash"]:
            return ""
        return shown_source(root) if is_local(root) else found[0]

    def _in_text(self, found: re.Match[str]) -> str:
        if found["base64"] or len(found[0]) > LONGEST:
            return found[0]
        if found["web"]:
            if not _THIS_MACHINE.match(found[0]):
                return found[0]
            address, mark, values = found[0].partition("=")  # `http://127.0.0.1:7860/file=/home/…`
            return address + mark + self.removed(values)
        end = _TRAILING.search(found[0])
        path = found[0][: end.start()] if end else found[0]
        return _shown(path) + (end[0] if end else "")


def shown_source(root: str) -> str:
    """The address of a source as others may see it: of a folder of this machine its name, of a web address no query."""
    if is_local(root):
        return root.rstrip("/").rsplit("/", 1)[-1]
    return root.partition("?")[0].partition("#")[0]


def _forms(root: str) -> Iterator[str]:
    """The ways in which a text may write a root."""
    yield root
    yield json.dumps(root)[1:-1]
    yield root.replace("/", "\\/")
    yield quote(root, safe="/:")
    if is_local(root):
        for prefix in ("file://", "file:", "file://localhost"):
            yield prefix + root
            yield prefix + quote(root)


def _in_quotes(found: re.Match[str]) -> str:
    inner = found["inner"]
    first = _TOKEN.match(inner)
    is_one = (first and not first["base64"]) or _is_whole(inner)
    if not is_one or _paths(inner) > 1:
        return found[0]
    return f"{found['mark']}{_shown(inner)}{found['mark']}"


def _is_whole(text: str) -> bool:
    """Whether a line, or a text in quotes, is one path from its beginning to its extension, blanks and all."""
    if len(text) > LONGEST or not _BEGINNING.match(text):
        return False
    name, dot, extension = text.rstrip("\\/").rpartition(".")
    return bool(dot) and extension.isalnum() and len(extension) <= 5 and bool(re.search(r"[^\s\\/][\\/]", name))


def _paths(text: str) -> int:
    return sum(not (found["web"] or found["base64"]) for found in _TOKEN.finditer(text))


def _shown(path: str) -> str:
    """What stays of one path."""
    scheme = re.match(rf"[a-z][a-z0-9+.-]+:{_EITHER}", path, re.IGNORECASE)
    if scheme:
        path = "/" + unquote(path[scheme.end() :]).removeprefix("localhost/").lstrip("/")
    archive, mark, member = path.partition(_MEMBER)
    archive = archive.rstrip("\\/").replace("\\ ", " ")
    name = "~" if _HOME.search(archive) else re.split(r"[\\/]+", archive)[-1]
    return f"{name}{mark}{member}"
