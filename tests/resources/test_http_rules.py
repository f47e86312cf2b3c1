"""Headers and addresses mean what the standards say."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.retry import retry_after
from resources.storage.http import rules

SEGMENTS = st.text(st.characters(exclude_characters="/?#\\", exclude_categories=("Cs", "Cc", "Z")), max_size=12)


@given(SEGMENTS, SEGMENTS)
def test_request_url_is_ascii_and_stays_as_it_is(path: str, query: str) -> None:
    url = rules.request_url(f"HTTP://Example.org/{path}?{query}#part")
    assert url.isascii() and "#" not in url and rules.request_url(url) == url


@pytest.mark.parametrize(
    ("uri", "sent"),
    [
        ("https://exämple.org/ä b?q=ü", "https://xn--exmple-cua.org/%C3%A4%20b?q=%C3%BC"),
        ("http://[2001:DB8::1]:80/a%20b", "http://[2001:db8::1]:80/a%20b"),
        ("http://example.org", "http://example.org/"),
    ],
)
def test_request_url(uri: str, sent: str) -> None:
    assert rules.request_url(uri) == sent


@given(st.integers(0, 2**32 - 1))
def test_ipv4_inside_ipv6_is_judged_as_ipv4(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    for prefix in ("::ffff:", "64:ff9b::"):
        assert rules.is_public(prefix + str(address)) == rules.is_public(str(address))
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not rules.is_public(str(address))


@given(st.text(max_size=30))
def test_no_header_is_an_error(text: str) -> None:
    retry_after(text)
    rules.content_range(text)
    rules.size_of_unsatisfied(text)
    rules.http_date(text)
    rules.opt_out([text])
    rules.strong_validator({"ETag": text, "Last-Modified": text, "Date": text})
    tag = rules.etag({"ETag": f'"{text}"'})
    assert tag is None or rules.quoted_etag(tag)


def test_secrets_are_seen_and_hidden() -> None:
    uri = "https://me:pw@h/x?X-Amz-Signature=abc&w=1&sig=def&flag&Token=ghi"
    assert rules.redacted(uri) == "https://h/x?X-Amz-Signature=…&w=1&sig=…&flag&Token=…"
    assert (
        rules.carries_secret(uri)
        and rules.carries_secret("http://a:b@h/")
        and not rules.carries_secret("http://h/?w=1")
    )
    assert rules.redacted("http://me:pw@[::1/x?sig=abc") == "http://[::1/x"
