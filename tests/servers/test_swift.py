"""The S3 server of the tests does what S3 does: what the storage code relies on, by the clients that it uses."""

import concurrent.futures
import hashlib
import os
import subprocess
import sys
import urllib.request

import pytest
from botocore.exceptions import ClientError

from tests.servers.swift import REPOSITORY, Swift

pytestmark = pytest.mark.slow
PART = 5 * 1024 * 1024


def status(error: pytest.ExceptionInfo[ClientError]) -> int:
    """HTTP status of a client error."""
    return int(error.value.response["ResponseMetadata"]["HTTPStatusCode"])


def test_put_get_and_delete_with_content_etag(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    s3.put_object(Bucket=bucket, Key="a/ü b+c.txt", Body=b"hello")
    found = s3.get_object(Bucket=bucket, Key="a/ü b+c.txt", Range="bytes=1-3")
    assert (found["Body"].read(), found["ContentRange"]) == (b"ell", "bytes 1-3/5")
    assert s3.head_object(Bucket=bucket, Key="a/ü b+c.txt")["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    s3.delete_object(Bucket=bucket, Key="a/ü b+c.txt")
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="a/ü b+c.txt")
    assert status(error) == 404


def test_listing_is_in_byte_order_paged_and_starts_after(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    keys = ["B.JPG", "a.jpg", "a/1", "a/10", "a/2", "a0", "data/x", "data2/x", "é"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    listed = [o["Key"] for page in pages for o in page["Contents"]]
    assert listed == sorted(keys, key=lambda k: k.encode())
    after = s3.list_objects_v2(Bucket=bucket, StartAfter="a/10", Prefix="a")["Contents"]
    assert [o["Key"] for o in after] == ["a/2", "a0"]
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in folders["CommonPrefixes"]] == ["a/", "data/", "data2/"]


def test_multipart_upload_makes_one_object_with_a_compound_etag(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    parts = [os.urandom(PART), os.urandom(PART), b"end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    tags = [
        s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=n, Body=part)["ETag"]
        for n, part in enumerate(parts, 1)
    ]
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="big")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="big",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]},
    )
    found = s3.get_object(Bucket=bucket, Key="big")
    assert found["Body"].read() == b"".join(parts)
    digest = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
    assert found["ETag"] == f'"{digest}-3"'
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["big"]


def test_second_writer_with_if_none_match_is_refused(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    s3.put_object(Bucket=bucket, Key="once", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="once", Body=b"second", IfNoneMatch="*")
    assert status(error) == 412
    assert s3.get_object(Bucket=bucket, Key="once")["Body"].read() == b"first"


def test_one_of_many_writers_at_once_wins(swift: Swift, bucket: str) -> None:
    s3 = swift.client(max_pool_connections=8)

    def write(text: str) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="raced", Body=text.encode(), IfNoneMatch="*")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 412
            return False
        return True

    writers = [f"writer {i}" for i in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = [w for w, first in zip(writers, pool.map(write, writers), strict=True) if first]
    assert [s3.get_object(Bucket=bucket, Key="raced")["Body"].read().decode()] == won


def test_public_bucket_is_read_without_credentials_and_others_are_not(swift: Swift, bucket: str) -> None:
    s3, anonymous = swift.client(), swift.anonymous_client()
    s3.put_object(Bucket=bucket, Key="a/ü b.txt", Body=b"open")
    for ask in (anonymous.list_objects_v2, lambda Bucket: anonymous.get_object(Bucket=Bucket, Key="a/ü b.txt")):
        with pytest.raises(ClientError) as error:
            ask(Bucket=bucket)
        assert error.value.response["Error"]["Code"] == "AccessDenied"
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert anonymous.get_object(Bucket=bucket, Key="a/ü b.txt", Range="bytes=1-")["Body"].read() == b"pen"
    assert [o["Key"] for o in anonymous.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/ü b.txt"]
    with pytest.raises(ClientError):
        anonymous.put_object(Bucket=bucket, Key="mine", Body=b"1")


def test_unchanged_object_is_not_sent_again(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag)
    assert status(error) == 304


def test_presigned_url_works_without_credentials_and_tampered_ones_do_not(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    s3.put_object(Bucket=bucket, Key="shared", Body=b"bytes")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "shared"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"bytes"
    with pytest.raises(urllib.request.HTTPError) as error:
        urllib.request.urlopen(url.replace("shared", "other"))
    assert error.value.code == 403


def test_wrong_secret_is_refused(swift: Swift, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        swift.client(secret_key="wrong").list_objects_v2(Bucket=bucket)
    assert error.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_versions_are_kept_when_asked_for(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"


def test_duckdb_reads_and_writes_in_place(swift: Swift, bucket: str) -> None:
    import duckdb
    from duckdb_extensions import import_extension

    with duckdb.connect() as con:
        import_extension("httpfs", con=con)
        con.execute("LOAD httpfs")
        con.execute(
            f"""CREATE SECRET (TYPE s3, KEY_ID '{swift.access_key}', SECRET '{swift.secret_key}',
            ENDPOINT '{swift.endpoint.removeprefix("http://")}', USE_SSL false, URL_STYLE 'path', REGION '{swift.region}')"""
        )
        con.execute(f"COPY (SELECT range AS i FROM range(1000)) TO 's3://{bucket}/t/0.parquet'")
        assert con.execute(f"SELECT sum(i) FROM 's3://{bucket}/t/*.parquet'").fetchone() == (499500,)


def test_many_objects_are_listed_at_once(swift: Swift, bucket: str) -> None:
    s3 = swift.client()
    s3.put_object(Bucket=bucket, Key="real", Body=b"1")
    swift.add_to_listing(bucket, ((f"many/{i:05}.jpg", i) for i in range(2500)))
    listed = [o for p in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for o in p["Contents"]]
    assert [o["Key"] for o in listed] == [*(f"many/{i:05}.jpg" for i in range(2500)), "real"]
    assert listed[42]["Size"] == 42 and len(listed[42]["ETag"]) == 34


def test_nothing_outlives_a_killed_test_session(tmp_path: object) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from tests.servers.swift import Swift\n"
        "with Swift(pathlib.Path(sys.argv[1])) as s:\n"
        "    print(s.endpoint, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdout is not None
        endpoint = session.stdout.readline().strip()
        assert endpoint.startswith("http://")
        session.kill()
    for _ in range(100):
        try:
            urllib.request.urlopen(endpoint, timeout=5).close()
        except urllib.request.HTTPError:
            continue
        except OSError:
            return
    pytest.fail(f"{endpoint} still answers")
