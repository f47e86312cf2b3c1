"""Long listings of S3 are divided into ranges: each key comes once, whatever its name."""

import random
from functools import partial

import pytest

from resources.storage import Storage
from resources.storage.s3 import listing
from resources.storage.s3.backend import S3Backend
from resources.storage.s3.listing import KeyRange, ranges, side_by_side
from tests.resources.at_swift import at_swift  # noqa: F401
from tests.servers.fixtures import bucket, swift, web  # noqa: F401
from tests.servers.swift import Swift

ODD = ("a b", "a+b", "a%2Fb", "é", "日", "😀", "A", "~", "!", "a//b", "a.b", "\uffee")


def _keys() -> list[str]:
    """A few folders of folders, files beside them, and names that sort in unusual places."""
    chance = random.Random(7)
    keys = {f"photos/{top}/{n:05}.jpg" for top in ("train", "val") for n in range(1200)}
    keys |= {f"photos/train/{chance.randrange(40):03}/{n:05}.jpg" for n in range(2500)}
    keys |= {f"photos/{odd}/{n}{odd}.jpg" for odd in ODD for n in range(30)}
    return sorted(keys | {f"photos/{n}.jpg" for n in range(200)})


@pytest.mark.slow
@pytest.mark.usefixtures("at_swift")
def test_a_long_listing_in_ranges_has_each_key_once(
    swift: Swift,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = _keys()
    swift.add_to_listing(bucket, [(key, 10 + n) for n, key in enumerate(keys)] + [("other/x.jpg", 1), ("photos", 1)])
    root, storage = f"s3://{bucket}/photos", Storage()
    expected = sorted((f"s3://{bucket}/{key}", 10 + n) for n, key in enumerate(keys))
    for long in (1, 2, 3, 1000):
        monkeypatch.setattr(listing, "LONG", long)
        found = [pair for some in storage.ls_columns(root) for pair in zip(some.uri, some.size, strict=True)]
        assert sorted(found) == expected
    backend = storage.using(S3Backend)
    ask = partial(backend._page, root, bucket)
    parts = ranges(ask, "photos/", "photos/0.jpg")
    assert len(parts) > 8 and parts[0].after == "photos/0.jpg" and parts[-1].until == ""
    cuts = [KeyRange(one, other) for one, other in zip(["", *keys[::700]], [*keys[::700], ""], strict=True)]
    found = [uri for some in side_by_side(ask, f"s3://{bucket}/", "photos/", cuts) for uri in some.uri]
    assert sorted(found) == [uri for uri, _ in expected]
