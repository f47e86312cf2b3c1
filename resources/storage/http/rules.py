"""What web headers and addresses mean.

Belongs here: pure functions on URLs, headers and IP addresses. Does not belong here: connections (``connections.py``),
retries (``client.py``).
"""

import email.utils
import ipaddress
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import quote, urldefrag, urljoin, urlsplit, urlunsplit

OPT_OUT = ("noai", "noimageai")
"""Directives of ``X-Robots-Tag`` that forbid training on an object. ``noindex`` is about search and not included."""

OUR_NAME = "arot"
VALUED_DIRECTIVES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
SECRET_PARAMETER = re.compile(
    r"signature|credential|token|secret|password|passwd|api[-_]?key|access[-_]?key|^(sig|auth|key|pwd|policy)$",
    re.IGNORECASE,
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SAFE = "!#$%&'()*+,/:;=?@[]~"
"""Characters that ``quote`` leaves as they are: those with a meaning in URLs, and ``%`` in parts that are already
quoted."""


def request_url(uri: str) -> str:
    """The URL as it is sent: lower-case host, everything else in ASCII, without the fragment.

    Raises:
        ValueError: not an ``http(s)`` URL with a host, or one that contains a password.
    """
    parts = urlsplit(urldefrag(uri.strip()).url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http:// or https:// address")
    if "@" in parts.netloc:
        raise ValueError("a user name or password in the address would end up in tables and logs")
    if re.search(r"[\x00-\x20\x7f]", parts.netloc):
        raise ValueError("the host name contains spaces or control characters")
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    place = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        place += f":{parts.port}"
    path, query = quote(parts.path or "/", safe=SAFE), quote(parts.query, safe=SAFE)
    return urlunsplit((parts.scheme.lower(), place, path, query, ""))


def next_hop(url: str, location: str) -> str:
    """The URL that a redirect of ``url`` leads to.

    Raises:
        ValueError: it must not be followed.
    """
    with suppress(UnicodeError):  # headers come as Latin-1, but servers that do not quote write UTF-8
        location = location.encode("latin-1").decode()
    return request_url(urljoin(url, location.strip()))


def carries_secret(uri: str) -> bool:
    """Whether a URL contains a password or a signature: such URLs are never stored.

    Raises:
        ValueError: it is not a URL.
    """
    parts = urlsplit(uri)
    return "@" in parts.netloc or any(SECRET_PARAMETER.search(name) for name, _ in _parameters(parts.query))


def redacted(uri: str) -> str:
    """A URL that may be shown: without a password, and without the values of secret parameters."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # not a URL, but perhaps meant as one
        return re.sub(r"//[^/]*@", "//", uri).partition("?")[0]
    shown = [
        f"{name}={'…' if SECRET_PARAMETER.search(name) else value}" if value is not None else name
        for name, value in _parameters(parts.query)
    ]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "&".join(shown), ""))


def _parameters(query: str) -> list[tuple[str, str | None]]:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(name, value if mark else None) for name, mark, value in pairs]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet. IPv4 inside IPv6 counts as the embedded address; tunnels
    are refused."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None:
            return False
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def opt_out(tags: Iterable[str]) -> str | None:
    """The directive of the ``X-Robots-Tag`` headers that forbids training, None if none does.

    Args:
        tags: the values of the header, one per line of the response. ``otherbot: noai`` applies to another agent.
    """
    for tag in tags:
        name, colon, rest = tag.partition(":")
        if colon and "," not in name and name.strip().lower() not in VALUED_DIRECTIVES:
            if name.strip().lower() not in (OUR_NAME, "*"):
                continue
            tag = rest
        for directive in tag.lower().split(","):
            if directive.strip() in OPT_OUT:
                return directive.strip()
    return None


def http_date(value: str | None) -> float:
    """Seconds since the epoch of a date in a header; 0.0 if it is missing or unreadable."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() if value else 0.0
    except (ValueError, OverflowError):
        return 0.0


def date_header(seconds: float) -> str:
    """A time since the epoch, in header format."""
    return email.utils.formatdate(seconds, usegmt=True)


def content_range(value: str | None) -> tuple[int, int, int | None] | None:
    """First and last byte, and the total size (None: unknown), of ``Content-Range``; None if it is unreadable."""
    match = re.fullmatch(r"bytes\s+(\d+)-(\d+)/(\d+|\*)", (value or "").strip(), re.IGNORECASE)
    if match is None:
        return None
    first, last, total = match.groups()
    return int(first), int(last), None if total == "*" else int(total)


def size_of_unsatisfied(value: str | None) -> int | None:
    """The size in the ``Content-Range: bytes */SIZE`` of a 416."""
    match = re.fullmatch(r"bytes\s+\*/(\d+)", (value or "").strip(), re.IGNORECASE)
    return int(match[1]) if match else None


def etag(headers: Mapping[str, str]) -> str | None:
    """The ETag without its quotes; a weak one keeps its ``W/`` prefix."""
    value = (headers.get("ETag") or "").strip()
    weak = "W/" if value.startswith("W/") else ""
    return weak + value.removeprefix("W/").strip('"') or None


def quoted_etag(tag: str) -> str:
    """The result of ``etag``, in header format."""
    return f'W/"{tag.removeprefix("W/")}"' if tag.startswith("W/") else f'"{tag}"'


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """The value for ``If-Range``: a strong ETag, or a date old enough that nothing changed within the same second.

    RFC 9110, 8.8.2.2 and 13.1.5. Without one, a broken body must be read again from the start.
    """
    tag = (headers.get("ETag") or "").strip()
    if tag.startswith('"'):
        return tag
    modified, now = headers.get("Last-Modified"), http_date(headers.get("Date"))
    return modified if modified and 0.0 < http_date(modified) < now - 1.0 and not tag else None
