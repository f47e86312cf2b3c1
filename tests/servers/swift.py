"""S3 on loopback: OpenStack Swift with its s3api, four servers with data in a temporary folder.

Belongs here: starting and stopping Swift, and what a client needs to reach it.
Does not belong here: what runs inside the process (``tests.servers.swift_process``), faults (``tests.servers.faults``).

Signatures, secrets, multipart uploads and conditions are checked by Swift itself: nothing here answers in its place. Two
filters (``tests.servers.swift_filters``) make it do what S3 does and Swift alone does not: anonymous reads of public
buckets, and one winner among writers under ``If-None-Match``.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.waiting import until, work_of

REPOSITORY = Path(__file__).parents[2]
PIPELINE = (
    "catch_errors cache sign_anonymous one_at_a_time listing_formats bulk s3api tempauth copy slo dlo versioned_writes "
    "symlink proxy-logging proxy-server"
)
PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
log_level = ERROR
[pipeline:main]
pipeline = {pipeline}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 60
conn_timeout = 10
recoverable_node_timeout = 60
[filter:tempauth]
use = egg:swift#tempauth
user_demo_test = testsecret .admin
user_demo_anonymous = no-secret
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
allow_multipart_uploads = true
max_upload_part_num = 10000
check_bucket_owner = false
s3_acl = false
min_segment_size = 5242880
[filter:cache]
paste.filter_factory = tests.servers.swift_filters:memory_cache
[filter:one_at_a_time]
paste.filter_factory = tests.servers.swift_filters:one_at_a_time
[filter:sign_anonymous]
paste.filter_factory = tests.servers.swift_filters:sign_anonymous
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""
PLAIN_FILTERS = {
    "catch_errors": "catch_errors",
    "proxy-logging": "proxy_logging",
    "listing_formats": "listing_formats",
    "bulk": "bulk",
    "copy": "copy",
    "slo": "slo",
    "dlo": "dlo",
    "symlink": "symlink",
}
STORAGE = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
log_level = ERROR
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
SWIFT = """\
[swift-hash]
swift_hash_path_suffix = arot
[swift-constraints]
max_header_size = 16384
"""


def free_ports(count: int) -> list[int]:
    """Ports of loopback on which nothing listens now."""
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


class Swift:
    """A running S3 server; use as a context manager.

    Attributes:
        endpoint: ``http://127.0.0.1:PORT``.
        access_key: of the account that owns everything.
        secret_key: of the same.
        region: what requests are signed for.
    """

    access_key = "demo:test"
    secret_key = "testsecret"
    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        """Args: folder: where data and logs go; its file system must keep user attributes (``user.*`` xattrs)."""
        self.folder = folder
        self.endpoint = ""
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Swift":
        self._prepare()
        proxy, account, container, objects = free_ports(4)
        ports = {"proxy": proxy, "account": account, "container": container, "object": objects}
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{egg}\n" for name, egg in PLAIN_FILTERS.items())
        for name, port in ports.items():
            text = PROXY + filters if name == "proxy" else STORAGE
            filled = text.format(name=name, port=port, folder=self.folder, pipeline=PIPELINE)
            (self.folder / f"{name}.conf").write_text(filled)
        self.endpoint, self._ports = f"http://127.0.0.1:{proxy}", ports
        self.start()
        return self

    def start(self) -> None:
        """Start it on its data, and wait until it answers."""
        with (self.folder / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.servers.swift_process",
                    str(self.folder),
                    *map(str, self._ports.values()),
                ],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal ends the tests first, and they end this
            )
        try:
            self._wait(self._ports)
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def kill(self) -> None:
        """Kill -9 it: its servers end with it, in the middle of whatever they answer."""
        assert self._process is not None and self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process = None

    def stop(self) -> None:
        """End all processes; the data stays until the folder is removed."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children end with it
            self._process.wait()
        self._process = None

    def client(self, secret_key: str | None = None, endpoint: str | None = None, **config: Any) -> Any:
        """A boto3 S3 client of this server.

        Args:
            secret_key: another secret than the right one.
            endpoint: another way to the server (a fault proxy).
            config: more fields of ``botocore.config.Config``.
        """
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            region_name=self.region,
            config=Config(**{"signature_version": "s3v4", "s3": {"addressing_style": "path"}, **config}),
        )

    def anonymous_client(self) -> Any:
        """A boto3 S3 client that signs nothing."""
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
        return boto3.client("s3", endpoint_url=self.endpoint, region_name=self.region, config=config)

    def add_to_listing(self, bucket: str, objects: Iterable[tuple[str, int]]) -> None:
        """Let a bucket list objects (key, size) that have no bytes: 100,000 in seconds, to measure listings."""
        command = [sys.executable, "-m", "tests.servers.swift_listing", str(self.folder), bucket]
        subprocess.run(command, cwd=REPOSITORY, input=json.dumps(list(objects)), text=True, check=True)

    def environment(self) -> dict[str, str]:
        """The variables with which any S3 client in another process finds this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
        }

    def _prepare(self) -> None:
        for name in ("account", "container", "object"):
            (self.folder / "devices" / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "swift.conf").write_text(SWIFT)
        try:
            os.setxattr(self.folder / "swift.conf", "user.arot", b"1")
        except OSError as error:
            raise RuntimeError(
                f"Swift keeps metadata in user attributes, which '{self.folder}' does not support ({error}); "
                "point pytest elsewhere with --basetemp"
            ) from error

    def _wait(self, ports: dict[str, int]) -> None:
        assert self._process is not None
        process = self._process

        def logs() -> str:
            return "\n".join(p.read_text()[-2000:] for p in sorted(self.folder.glob("*.log")))

        def listens(port: int) -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"Swift did not start on {ports}:\n{logs()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        for port in ports.values():
            until(f"Swift on port {port}", partial(listens, port), work_of(process.pid), told=logs)
