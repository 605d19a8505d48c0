# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a place without asking it. The rest is tested with a real server: target mongodb_backup_s3."""

from __future__ import annotations

import base64
import email.utils
import json
import pathlib
import threading
import time
import types
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._backup_places import _options as options
from ansible_collections.stateful.kube.plugins.module_utils._backup_places import _s3 as s3
from ansible_collections.stateful.kube.plugins.module_utils._backup_places import _s3_units as units
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

GIVEN = {"bucket": "backups", "endpoint": "https://minio.example.com:9000", "prefix": "/of//shop/", "region": None}


def test_an_address_is_read() -> None:
    found = s3.Address.of(GIVEN)
    assert (found.title, found.key("a/b"), found.region) == ("s3://backups/of/shop", "of/shop/a/b", "us-east-1")
    root = s3.Address.of({"bucket": "backups"})
    assert (root.title, root.key("a/b"), root.endpoint) == ("s3://backups", "a/b", s3.AMAZON)


@pytest.mark.parametrize("bucket", ["", "ab", "Backups", "a/b", "-ab", "a" * 64])
def test_what_is_no_bucket_is_told(bucket: str) -> None:
    with pytest.raises(Failure, match=r"^s3\.bucket: expected"):
        s3.Address.of({**GIVEN, "bucket": bucket})


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://minio", "https://", "https://minio/backups", "http://m/?a"])
def test_what_is_no_server_is_told(endpoint: str) -> None:
    with pytest.raises(Failure, match=r"^s3\.endpoint: expected a URL"):
        s3.Address.of({**GIVEN, "endpoint": endpoint})


@pytest.mark.parametrize(
    ("code", "option", "says"),
    [
        ("NoSuchBucket", "s3.bucket", "there is no bucket backups"),
        ("InvalidAccessKeyId", "s3.secret", "is wrong"),
        ("SignatureDoesNotMatch", "s3.secret", "is wrong"),
        ("AccessDenied", "s3.secret", "lack a right"),
        ("RequestTimeTooSkewed", "s3.endpoint", "60 minutes ahead"),
        ("AuthorizationHeaderMalformed", "s3.region", "another region than us-east-1"),
        ("XMinioStorageFull", "s3.bucket", "no room left"),
        ("XMinioAdminBucketQuotaExceeded", "s3.bucket", "no room left"),
        ("SlowDown", "s3", "refused to write x (SlowDown: why)"),
    ],
)
def test_what_a_server_refuses_names_the_option(code: str, option: str, says: str) -> None:
    answer = types.SimpleNamespace(headers={"Date": email.utils.formatdate(time.time() - 3600, usegmt=True)})
    found = s3._refused(s3.Address.of(GIVEN), "write x", code, "why.", answer).message
    assert found.startswith(f"{option}: ")
    assert says in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("why", "says"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "cannot be trusted"),
        (
            "<urllib3.connection.HTTPConnection object at 0x7>: Failed to establish",
            "does not answer (Failed to establish)",
        ),
    ],
)
def test_who_does_not_answer_is_told(why: str, says: str) -> None:
    assert says in s3._away(s3.Address.of(GIVEN), "list it", OSError(why)).message


def test_keys_come_from_a_secret_and_are_not_shown(tmp_path: pathlib.Path) -> None:
    data = {"AWS_ACCESS_KEY_ID": "someone\n", "AWS_SECRET_ACCESS_KEY": "hidden"}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    found = options._keys({key: value.encode() for key, value in data.items()}, "It")
    assert (found.access_key, found.secret_key) == ("someone", "hidden")
    assert "hidden" not in repr(found)
    cluster = types.SimpleNamespace(get=lambda *_names: {"data": {**encoded, "AWS_SECRET_ACCESS_KEY": ""}})
    given_keys = {**GIVEN, "secret": "keys", "access_key": None, "ca_cert": None}
    with pytest.raises(Failure, match="AWS_SECRET_ACCESS_KEY is not there"):
        options.bucket_of(given_keys, cluster, "prod")
    with pytest.raises(Failure, match="there is no Secret keys in namespace prod"):
        options.bucket_of(given_keys, types.SimpleNamespace(get=lambda *_names: None), "prod")
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("someone")
    with pytest.raises(Failure, match="AWS_SECRET_ACCESS_KEY is not there"):
        options.bucket_of_files(GIVEN, tmp_path)
    with pytest.raises(Failure, match=r"^s3\.ca_cert: .*cannot be read"):
        options.bucket_of({**given_keys, "ca_cert": str(tmp_path / "nothing")}, cluster, "prod")


def test_only_an_etag_that_is_a_hash_is_compared() -> None:
    md5 = "d41d8cd98f00b204e9800998ecf8427e"
    assert s3.comparable(md5, md5)
    assert s3.comparable(f"{md5}-2", f"{md5}-2")
    # Some servers, and all that encrypt, give something else.
    assert not s3.comparable(f"{md5}-1", md5)
    assert not s3.comparable("an-opaque-one", md5)


class Server:
    """Takes what is sent as the package does: in parts, read as from a file."""

    def __init__(self, fails_after: int = 1 << 60) -> None:
        self.address = s3.Address.of(GIVEN)
        self.got = b""
        self._left = fails_after

    def put(self, path: str, content: bytes) -> str:
        return ""

    def put_stream(self, path: str, source: t.Any) -> str:
        while part := source.read(1000):
            self.got += part
            if len(self.got) > self._left:
                raise Failure("the server is gone")
        return ""

    def _checked(self, path: str, found: str, expected: str) -> str:
        return expected


@given(st.lists(st.binary(max_size=3000), max_size=20))
def test_what_is_written_is_sent(parts: list[bytes]) -> None:
    server = Server()
    upload = s3.Upload(t.cast("t.Any", server), "x")
    for part in parts:
        upload.write(part)
    whole = b"".join(parts)
    assert upload.finish().size == len(whole)
    assert server.got == whole


def test_a_server_that_goes_away_ends_the_writing() -> None:
    upload = s3.Upload(t.cast("t.Any", Server(fails_after=100)), "x")
    with pytest.raises(Failure, match="the server is gone"):
        upload.write(b"x" * s3.CHUNK * s3.WAITING * 2)


class Memory:
    """A bucket in memory: objects, and when they were written."""

    def __init__(self) -> None:
        self.address = s3.Address.of(GIVEN)
        self.objects: dict[str, bytes] = {}
        self.ages: dict[str, float] = {}
        self.forgotten: list[str] = []

    def list(self, below: str = "") -> list[s3.Entry]:
        found = sorted(path for path in self.objects if path.startswith(below))
        return [s3.Entry(path, len(self.objects[path]), str(hash(self.objects[path]))) for path in found]

    def age(self, path: str) -> float:
        return self.ages.get(path, 0.0)

    def get(self, path: str) -> bytes:
        return self.objects[path]

    def put(self, path: str, content: bytes) -> str:
        self.objects[path] = content
        return ""

    def remove(self, paths: list[str]) -> None:
        for path in paths:
            self.objects.pop(path, None)

    def forget_uploads(self, path: str) -> None:
        self.forgotten.append(path)


def units_of(memory: Memory, **owner: str) -> units.Units:
    names = units.Names("record", "mark")
    return units.Units(t.cast("t.Any", memory), names, owner or {"name": "shop"}, lambda name: name.startswith("shop-"))


def test_a_backup_counts_with_its_record_and_no_earlier() -> None:
    memory = Memory()
    making = units_of(memory).begin("shop-1")
    assert making is not None
    assert units_of(memory).begin("shop-1") is None
    memory.put("shop-1/data", b"1")
    making.add(memory.list("shop-1/data")[0])
    assert units_of(memory).records("shop-") == {}
    # Its process lives.
    assert units_of(memory).abandoned("shop-") == []
    making.complete(b"{}")
    assert units_of(memory).records("shop-") == {"shop-1": b"{}"}
    units_of(memory).remove("shop-1")
    assert memory.objects == {}


@pytest.mark.parametrize("what", ["gone", "other", "mark", "taken"])
def test_what_is_not_as_it_was_sent_does_not_count(what: str) -> None:
    memory = Memory()
    making = units_of(memory).begin("shop-1")
    assert making is not None
    memory.put("shop-1/data", b"1")
    making.add(memory.list("shop-1/data")[0])

    def put(path: str, content: bytes) -> str:
        # Another run takes this one for dead between the look and the record.
        memory.objects[path] = content
        memory.objects.pop("shop-1/data", None)
        return ""

    if what == "gone":
        memory.remove(["shop-1/data"])
    elif what == "other":
        memory.put("shop-1/data", b"2")
    elif what == "mark":
        memory.put("shop-1/mark", b'{"token": "of another run"}')
    else:
        memory.put = put  # type: ignore[method-assign]
    with pytest.raises(Failure, match="is not as it was written"):
        making.complete(b"{}")
    assert "shop-1/record" not in memory.objects


@pytest.mark.parametrize(("age", "owner", "found"), [(10, "shop", []), (200, "shop", ["shop-1"]), (200, "eu", [])])
def test_what_was_left_elsewhere_is_told_by_its_age(age: float, owner: str, found: list[str]) -> None:
    memory = Memory()
    mark = {"owner": {"name": owner}, "process": {}, "sending": ["shop-1/a", "shop-1/b"]}
    memory.objects = {"shop-1/mark": json.dumps(mark).encode(), "shop-1/a": b"1", "shop-2/not-ours": b"2"}
    memory.ages = {"shop-1/mark": age}
    assert units_of(memory).abandoned("shop-") == found
    for name in found:
        units_of(memory).remove(name)
        assert memory.forgotten == ["shop-1/a", "shop-1/b"]
        assert set(memory.objects) == {"shop-2/not-ours"}


def test_who_gives_up_leaves_no_thread() -> None:
    before = threading.active_count()
    upload = s3.Upload(t.cast("t.Any", Server()), "x")
    upload.write(b"x" * s3.CHUNK * 3)
    upload.discard()
    assert threading.active_count() == before


def test_where_backups_go_is_checked_and_said() -> None:
    folder = {"keep": 0, "dest": "/var/backups/shop", "s3": None}
    assert options.destination(folder) == "/var/backups/shop"
    assert options.destination({**folder, "dest": None, "s3": GIVEN}) == "s3://backups/of/shop"
    with pytest.raises(Failure, match=r"^dest: expected an absolute path, such as /var/backups/shop, found backups\.$"):
        options.destination({**folder, "dest": "backups"})
    with pytest.raises(Failure, match=r"^keep: expected a number of backups, or 0 to keep all, found -1\.$"):
        options.destination({**folder, "keep": -1, "dest": "backups"})


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "/b/x"), "Permission denied: /b/x"),
        (OSError("gone"), "gone"),
    ],
)
def test_what_keeps_a_place_from_being_written_to_is_told(error: OSError, why: str) -> None:
    says = f"dest: /b cannot be written to ({why}). Make room or correct it, and run it again; an incomplete backup is "
    with pytest.raises(Failure) as told, options.writing_to("/b"):
        raise error
    assert told.value.message == f"{says}removed."
    with pytest.raises(ValueError, match="other"), options.writing_to("/b"):
        raise ValueError("other")
