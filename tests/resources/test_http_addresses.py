"""Where the web may lead, and what it may be told: redirects, private addresses, certificates, opt-outs, secrets."""

import os
import socket
import ssl
from pathlib import Path

import pytest

from resources.storage import Storage, StorageError
from tests.resources.http_calls import kind_of, storage
from tests.servers.http import Reply, WebServer, redirect

BODY = os.urandom(300_000)
PRIVATE = ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]", "10.1.2.3",
           "169.254.169.254", "192.168.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]"]  # fmt: skip


@pytest.mark.parametrize(
    "tag", ["noai", "noindex, NoImageAI", "unavailable_after: 25 Jun 2030 15:00:00 GMT, noai", "arot: noai"]
)
def test_opt_out_is_honoured_unless_said_otherwise(web: WebServer, tag: str) -> None:
    uri = web.serve("/a", Reply(body=BODY, headers={"X-Robots-Tag": tag}))
    with pytest.raises(StorageError, match="X-Robots-Tag") as error:
        storage().read_bytes(uri)
    assert error.value.kind == "opt_out"
    assert storage(honour_opt_out=False).read_bytes(uri) == BODY


@pytest.mark.parametrize("tag", ["noindex, nofollow", "gptbot: noai", "all"])
def test_tags_about_search_or_others_are_no_opt_out(web: WebServer, tag: str) -> None:
    assert storage().read_bytes(web.serve("/a", Reply(body=BODY, headers={"X-Robots-Tag": tag}))) == BODY


def test_opt_out_of_a_redirect_counts(web: WebServer) -> None:
    web.serve("/a", Reply(302, headers={"Location": "/b", "X-Robots-Tag": "noai"}))
    web.serve("/b", Reply(body=BODY))
    assert kind_of(f"{web.endpoint}/a") == "opt_out"
    assert web.count("/b") == 0


def test_redirects_are_followed_to_a_limit(web: WebServer) -> None:
    for n in range(4):
        web.serve(f"/{n}", redirect(f"/{n + 1}", (301, 302, 307, 308)[n]))
    web.serve("/4", Reply(body=BODY))
    assert storage(max_redirects=4).read_bytes(f"{web.endpoint}/0") == BODY
    assert kind_of(f"{web.endpoint}/0", max_redirects=3) == "redirects"
    assert kind_of(web.serve("/loop", redirect("/loop"))) == "redirects"


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.org/a", "data:text/plain,x", "http://u:p@127.0.0.1/"]
)
def test_redirects_lead_to_the_web_only(web: WebServer, target: str) -> None:
    assert kind_of(web.serve("/a", redirect(target))) == "redirects"


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused_in_every_spelling(web: WebServer, host: str) -> None:
    uri = f"http://{host}:{web.port}/a"
    try:
        assert kind_of(uri, allow_private=False) == "private_address"
    except AssertionError:
        assert ":" in host and kind_of(uri, allow_private=False) == "dns", "a machine without IPv6"
    assert web.requests == []


def test_environment_allows_private_addresses(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_HTTP_ALLOW_PRIVATE", "1")
    assert Storage().read_bytes(web.serve("/a", Reply(body=BODY))) == BODY


def test_public_host_cannot_redirect_to_a_private_one(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # 127.0.0.1 plays the public server: no other can be had in a test
    monkeypatch.setattr("resources.storage.http.connections.is_public", lambda address: address == "127.0.0.1")
    web.serve("/secret", Reply(body=b"credentials"))
    uri = web.serve("/a", redirect(f"http://127.0.0.2:{web.port}/secret"))
    assert kind_of(uri, allow_private=False) == "private_address"
    assert web.count("/secret") == 0


def test_the_address_that_is_checked_is_the_one_connected_to(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to a public address first and to a private one afterwards gains nothing."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    asked: list[str] = []

    def resolve(host: str, port: int, *_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    kind = kind_of(f"http://rebinding.example:{web.port}/a", allow_private=False, connect_seconds=0.2, attempts=2)
    assert kind in ("private_address", "refused", "timeout")
    assert len(asked) <= 2 and web.requests == []


def test_kinds_without_a_server(web: WebServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert kind_of(f"http://127.0.0.1:{port}/a") == "refused"
    assert kind_of("http://no-such-host.invalid/a") == "dns"
    assert kind_of(f"https://127.0.0.1:{web.port}/a") == "tls"
    for wrong in ("http://", "http://a b/", "http://[::1/", "http://x:99999/", "http://user:pw@example.org/"):
        assert kind_of(wrong) == "invalid", wrong


def test_certificate_that_nobody_signed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with WebServer() as web:
        assert web._server is not None
        web._server.socket = context.wrap_socket(web._server.socket, server_side=True)
        web.serve("/a", Reply(body=BODY))
        uri = f"https://localhost:{web.port}/a"
        assert kind_of(uri) == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert storage().read_bytes(uri) == BODY
        assert kind_of(web.serve("/drip", Reply(body=BODY, drip=(1, 0.02))).replace("http://127.0.0.1", "https://localhost"),
                       read_seconds=0.2, attempts=1) == "timeout"  # fmt: skip


def self_signed(folder: Path) -> Path:
    """A key and a certificate of ``localhost`` in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from datetime import UTC, datetime, timedelta

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "localhost.pem"
    file.write_bytes(private + signed.public_bytes(pem))
    return file


def test_web_addresses_cannot_be_written(web: WebServer) -> None:
    with pytest.raises(StorageError, match="can only be read"):
        storage().write(f"{web.endpoint}/a", b"x")
    with pytest.raises(StorageError, match="can only be read"):
        storage().delete(f"{web.endpoint}/a")
    assert web.requests == []


def test_errors_show_no_secret_of_an_address(web: WebServer) -> None:
    web.serve("/moved", redirect("/gone?X-Amz-Signature=s3cret2"))
    for uri in (
        f"{web.endpoint}/a?X-Amz-Signature=s3cret1&w=1",
        f"{web.endpoint}/moved",
        "http://me:s3cret3@example.org/",
    ):
        with pytest.raises(StorageError) as error:
            storage().read_bytes(uri)
        shown: BaseException | None = error.value
        while shown is not None and not shown.__suppress_context__:
            assert "s3cret" not in str(shown)
            shown = shown.__cause__ or shown.__context__
        assert shown is None or "s3cret" not in str(shown)


def test_server_is_told_who_asks(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = web.serve("/a", Reply(body=BODY))
    storage().read_bytes(uri)
    storage(user_agent="ours/1 (mail@example.org)").read_bytes(uri)
    monkeypatch.setenv("AROT_HTTP_USER_AGENT", "theirs/2")
    storage().read_bytes(uri)
    first, second, third = (r.headers["User-Agent"] for r in web.requests)
    assert first.startswith("arot/") and (second, third) == ("ours/1 (mail@example.org)", "theirs/2")
