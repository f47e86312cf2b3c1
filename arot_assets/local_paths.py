"""Removing local paths from published data: nothing that is published or exported contains an absolute local path.

Belongs here: recognizing paths in texts, and what remains of each. Does not belong here: which texts are published (the
rooms ``exports`` and ``report``).

The rule, the same for every text (addresses, reasons, JSON, SQL, cards, captions):

- For a path below a source of the dataset, current or earlier, the part below the source remains: ``sea/x.jpg``.
- For any other absolute path, the last name remains: ``/mnt/old/x.jpg`` -> ``x.jpg``; for a member of an archive, also
  the archive's name: ``/mnt/a.tar!/b/x.jpg`` -> ``a.tar!/b/x.jpg``. A home folder becomes ``~``, because its name
  identifies a person.
- A path is text that starts with ``/`` and has at least two names, or one that has an extension or is a usual folder of
  the root (``/tmp``); a drive (``C:\\x``), a share (``\\\
as\\x``), ``~/x``, ``file:…`` and any ``scheme:///…``. In the middle of a text it is recognized if no letter, digit or
  closing bracket precedes it; in quotes, including its spaces; in JSON, in the string that an escape sequence
  represents.
- Ordinary text therefore stays as it is: ``black/white``, ``w/ a hat``, ``1/2``, ``/imagine a cat``, ``\\(cat\\)``,
  ``:/``. So do addresses of the web, of buckets and of the Hub, and images in Base64.
"""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from resources.storage.objects import absolute, is_local

LONGEST = 4096
"""Maximum characters of a path (PATH_MAX of Linux)."""
NAME_MAX = 255
"""Maximum characters of a name, and how far back the beginning of a path is searched."""
LONE = "Users|Volumes|data|etc|home|media|mnt|opt|root|scratch|srv|tmp|usr|var"
"""Folders of the root that count as a path without a second name."""
TOP = (
    f"{LONE}|Applications|Library|System|bin|boot|cache|cluster|content|datasets|dbfs|dev|efs|export|fsx|gpfs|kaggle|lib|lustre|"
    "mount|net|nfs|nix|private|proc|projects?|raid|run|sbin|shared?|snap|ssd|storage|store|sys|work|workdir|workspace"
)
"""First names of absolute paths on Linux, macOS, network storage and rented machines."""
_NAME = r"(?:[^\s\"'`<>|/\\\x00-\x1f\u201c\u201d]|\\\x20)"
"""A character of a name in a text; the shell writes a space as backslash and space."""
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
"""A name with a space in the middle of a path: what follows the space has slashes too, unlike ``and/or``."""
_LINE = r"(?<=\\n)|(?<=\\r)|(?<=\\t)"
"""A path may follow an escaped line break, whose letter is not part of a word."""
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
"""A text without any of these contains no path."""
_MAYBE = re.compile(
    r"(?:\A|[^A-Za-z0-9_.!/\\-]|\\[nrt])(?:\\{0,3}/+[^\s/]|[a-z]:[\\/])|\\\\|file:|:/{3}|~[\w-]{0,32}/|\\u00(?:2f|5c|7e)"
    r"|://(?:localhost|127\.|0\.0|\[::1)",
    re.IGNORECASE,
)
"""A text without any of these contains no path, unless it is a root: this quickly rules out most texts with a slash."""


class LocalPaths:
    """Removes local paths from texts.

    Args:
        roots: addresses of sources, on any scheme; of nested roots, the innermost applies.
    """

    def __init__(self, roots: Iterable[str] = ()) -> None:
        whole = {absolute(root).rstrip("/") for root in roots} - {""}
        self._roots = {form: root for root in whole for form in _forms(root)}
        names = "|".join(re.escape(form) for form in sorted(self._roots, key=len, reverse=True))
        self._below = re.compile(rf"(?P<root>{names})(?:(?P<slash>{_SLASH})(?={_NAME})|(?![\w-]|\.\w|{_SLASH}))")

    def removed(self, text: str) -> str:
        """The text without local paths; unchanged if it has none. Applying it again changes nothing."""
        while (shorter := self._once(text)) != text:  # what remains of one path may be the beginning of another
            text = shorter
        return text

    def removed_from(self, array: pa.Array) -> pa.Array:
        """An array of the same type whose strings contain no local paths, at any depth of lists, structs and maps."""
        kind = array.type
        if isinstance(kind, pa.BaseExtensionType):  # JSON
            return pa.ExtensionArray.from_storage(kind, self.removed_from(array.storage))
        if pa.types.is_dictionary(kind):
            return pa.DictionaryArray.from_arrays(
                array.indices, self.removed_from(array.dictionary), ordered=kind.ordered
            )
        if pa.types.is_fixed_size_list(kind):
            return self.removed_from(array.cast(pa.list_(kind.value_field))).cast(kind)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._removed_from_texts(array)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
            rows = pa.array(range(len(array)), pa.int64())
            array = array.take(rows)  # not a slice any more: its offsets start at zero
            if pa.types.is_map(kind):
                keys, items = self.removed_from(array.keys), self.removed_from(array.items)
                return pa.MapArray.from_arrays(array.offsets, keys, items, kind, mask=array.is_null())
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
        """A string with escapes is searched in its unescaped form, including any JSON in it."""
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
    """The address of a source as it may be published: the name of a local folder, a web address without its query."""
    if is_local(root):
        return root.rstrip("/").rsplit("/", 1)[-1]
    return root.partition("?")[0].partition("#")[0]


def _forms(root: str) -> Iterator[str]:
    """The ways in which a text may spell a root."""
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
    """Whether a line, or a quoted text, is a single path from its beginning to its extension, including spaces."""
    if len(text) > LONGEST or not _BEGINNING.match(text):
        return False
    name, dot, extension = text.rstrip("\\/").rpartition(".")
    return bool(dot) and extension.isalnum() and len(extension) <= 5 and bool(re.search(r"[^\s\\/][\\/]", name))


def _paths(text: str) -> int:
    return sum(not (found["web"] or found["base64"]) for found in _TOKEN.finditer(text))


def _shown(path: str) -> str:
    """What remains of one path."""
    scheme = re.match(rf"[a-z][a-z0-9+.-]+:{_EITHER}", path, re.IGNORECASE)
    if scheme:
        path = "/" + unquote(path[scheme.end() :]).removeprefix("localhost/").lstrip("/")
    archive, mark, member = path.partition(_MEMBER)
    archive = archive.rstrip("\\/").replace("\\ ", " ")
    name = "~" if _HOME.search(archive) else re.split(r"[\\/]+", archive)[-1]
    return f"{name}{mark}{member}"
