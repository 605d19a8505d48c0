# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A bucket of S3, whoever serves it, as a place for backups: objects are written, checked, read and removed.

The package minio speaks to it, and is loaded only here. Whatever goes wrong is said in words that name the option.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import email.utils
import hashlib
import io
import queue
import re
import ssl
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, MissingLibrary

# Bytes. An object has 10,000 parts at most, so that a file may be 312 GiB; and of each file that is
# being written a part is in memory, once or twice.
PART = 32 * 1024 * 1024
CHUNK = 1024 * 1024
# Chunks that wait for the part before them to be sent.
WAITING = 8
# Seconds.
CONNECT, SILENCE = 10.0, 60.0
# How often a reader takes up a download again that broke off without a byte more.
TRIES = 5
WORKERS = 8
AMAZON = "https://s3.amazonaws.com"
# What servers without regions call theirs.
REGION = "us-east-1"
#: keys of a Secret
ACCESS_KEY, SECRET_KEY, AUTHORITIES = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ca.crt"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MD5 = re.compile(r"[0-9a-f]{32}(-\d+)?")


@dataclasses.dataclass(frozen=True)
class Keys:
    """Who asks. Never shown."""

    access_key: str = dataclasses.field(repr=False)
    secret_key: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a bucket is, and the folder in it."""

    bucket: str
    endpoint: str = AMAZON
    prefix: str = ""
    region: str = REGION
    validate_certs: bool = True

    @classmethod
    def of(cls, given: t.Mapping[str, t.Any]) -> Address:
        """Read and check the options. Raises Failure that names the one."""
        bucket, endpoint = str(given["bucket"] or ""), str(given.get("endpoint") or AMAZON).rstrip("/")
        if not _BUCKET.fullmatch(bucket):
            raise Failure(
                f"s3.bucket: expected the name of a bucket, 3 to 63 lower case letters, digits, dots and hyphens, "
                f"found {bucket!r}. A folder in it is named by s3.prefix."
            )
        parsed = urllib.parse.urlsplit(endpoint)
        if parsed.scheme not in ("http", "https") or not parsed.hostname or parsed.path or parsed.query:
            raise Failure(
                f"s3.endpoint: expected a URL of a server alone, such as https://minio.example.com:9000, found "
                f"{endpoint!r}. The bucket is named by s3.bucket."
            )
        return cls(
            bucket=bucket,
            endpoint=endpoint,
            prefix="/".join(part for part in str(given.get("prefix") or "").split("/") if part),
            region=str(given.get("region") or REGION),
            validate_certs=bool(given.get("validate_certs", True)),
        )

    @property
    def title(self) -> str:
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix)))

    def key(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path


@dataclasses.dataclass(frozen=True)
class Entry:
    """An object, by its path below the prefix."""

    path: str
    size: int
    etag: str


class Gone(FileNotFoundError):
    """There is no such object."""


class Bucket:
    """Raises Failure, and Gone where what is asked for is not there."""

    def __init__(self, address: Address, keys: Keys, authorities: str = "") -> None:
        self.address = address
        #: whether ETags are hashes of what was written
        self._hashes = True
        try:
            import minio
            import urllib3
        except ImportError as exc:
            raise MissingLibrary("minio", str(exc)) from exc
        parsed = urllib.parse.urlsplit(address.endpoint)
        secure = parsed.scheme == "https"
        trust: dict[str, t.Any] = {"ssl_context": _trust(address, authorities)} if secure else {}
        if secure and not address.validate_certs:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        # What the server itself has for an error comes back, and not that it was tried several times.
        again = urllib3.Retry(total=4, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
        try:
            pool = urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=CONNECT, read=SILENCE), maxsize=WORKERS + 4, retries=again, **trust
            )
            self._client: t.Any = minio.Minio(
                endpoint=parsed.netloc,
                access_key=keys.access_key,
                secret_key=keys.secret_key,
                secure=secure,
                region=address.region,
                http_client=pool,
            )
        except ValueError as exc:
            raise Failure(f"s3.endpoint: {address.endpoint} is none that can be asked ({exc}). Correct it.") from exc

    def list(self, below: str = "") -> list[Entry]:
        with self._explained(f"list {self.address.title}"):
            prefix = self.address.key(below)
            found = self._client.list_objects(bucket_name=self.address.bucket, prefix=prefix, recursive=True)
            skip = len(self.address.key(""))
            return [Entry(one.object_name[skip:], int(one.size or 0), _plain(one.etag)) for one in found]

    def age(self, path: str) -> float:
        """Seconds since an object was written last, by the server's clock alone."""
        with self._explained(f"look at {path}"):
            found = self._client.stat_object(bucket_name=self.address.bucket, object_name=self.address.key(path))
            now = email.utils.parsedate_to_datetime(found.metadata["Date"]).timestamp()
            return max(0.0, now - float(found.last_modified.timestamp()))

    def get(self, path: str) -> bytes:
        """A whole small object."""
        with self.open(path) as opened:
            return opened.read()

    def put(self, path: str, content: bytes) -> str:
        """A whole small object; its ETag."""
        with self._explained(f"write {path}"):
            done = self._client.put_object(
                bucket_name=self.address.bucket,
                object_name=self.address.key(path),
                data=io.BytesIO(content),
                length=len(content),
            )
        expected = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self._checked(path, self._etag_of(done), expected)

    def open(self, path: str) -> io.BufferedReader:
        return io.BufferedReader(_Download(self, path), CHUNK)

    def upload(self, path: str) -> Upload:
        return Upload(self, path)

    def remove(self, paths: t.Sequence[str]) -> None:
        with concurrent.futures.ThreadPoolExecutor(max_workers=WORKERS) as pool:
            list(pool.map(self._remove, paths))

    def _remove(self, path: str) -> None:
        with self._explained(f"remove {path}"):
            self._client.remove_object(bucket_name=self.address.bucket, object_name=self.address.key(path))

    def forget_uploads(self, path: str) -> None:
        """Throw the parts away that somebody sent of an object and never completed.

        The package has no public name for that. A server throws them away by itself after a while, if it is told to.
        """
        listing = getattr(self._client, "_list_multipart_uploads", None)
        abort = getattr(self._client, "_abort_multipart_upload", None)
        if listing is None or abort is None:
            return
        bucket, key = self.address.bucket, self.address.key(path)
        with self._explained(f"remove what was sent of {path}"):
            # Not every server lists by a part of the name: it is asked for the whole.
            for one in listing(bucket_name=bucket, prefix=key).uploads:
                if one.object_name == key:
                    with contextlib.suppress(Gone):
                        abort(bucket_name=bucket, object_name=key, upload_id=one.upload_id)

    def stream(self, path: str, offset: int, etag: str) -> t.Any:
        key = self.address.key(path)
        headers = {"If-Match": f'"{etag}"'} if etag else None
        with self._explained(f"read {path}"):
            return self._client.get_object(
                bucket_name=self.address.bucket, object_name=key, offset=offset, request_headers=headers
            )

    def put_stream(self, path: str, source: t.Any) -> str:
        with self._explained(f"write {path}"):
            done = self._client.put_object(
                bucket_name=self.address.bucket,
                object_name=self.address.key(path),
                data=source,
                length=-1,
                part_size=PART,
                num_parallel_uploads=1,
            )
        return self._etag_of(done)

    def _etag_of(self, done: t.Any) -> str:
        """What was written is called by; where the server encrypts with keys of its own it is no hash."""
        how = (done.http_headers or {}).get("x-amz-server-side-encryption") or "AES256"
        self._hashes = self._hashes and how == "AES256"
        return _plain(done.etag)

    def _checked(self, path: str, found: str, expected: str) -> str:
        if self._hashes and comparable(found, expected) and found != expected:
            raise Failure(
                f"{self.address.title}: {path} arrived as something else than what was sent (its ETag is {found} and "
                f"should be {expected}). Nothing counts as a backup that it belongs to. Run it again; if it stays so, "
                "look at the server and at what is between it and here."
            )
        return found

    @contextlib.contextmanager
    def _explained(self, doing: str) -> t.Iterator[None]:
        import minio.error
        import urllib3.exceptions

        try:
            yield
        except minio.error.S3Error as exc:
            if exc.code in ("NoSuchKey", "NoSuchUpload"):
                raise Gone(str(exc.message)) from exc
            raise _refused(self.address, doing, str(exc.code), str(exc.message), exc.response) from exc
        except (minio.error.MinioException, urllib3.exceptions.HTTPError, OSError) as exc:
            if isinstance(exc, Gone):
                raise
            raise _away(self.address, doing, exc) from exc


def _trust(address: Address, authorities: str) -> ssl.SSLContext:
    """Those that are given, else those of this host and those that the package brings. Raises Failure."""
    try:
        context = ssl.create_default_context(cadata=authorities or None)
    except (ssl.SSLError, ValueError) as exc:
        raise Failure(
            f"s3.ca_cert: expected certificates in PEM, in that file or under {AUTHORITIES} of the Secret, found none "
            f"that can be read ({exc})."
        ) from exc
    if not authorities:
        import certifi

        context.load_verify_locations(certifi.where())
    # urllib3 compares the name itself where the context does not, addresses included, which its older versions do not
    # hand to the context.
    context.check_hostname = False
    if not address.validate_certs:
        context.verify_mode = ssl.CERT_NONE
    return context


def comparable(found: str, expected: str) -> bool:
    """Whether an ETag is a hash of the content: not everywhere, and not where the server encrypts."""
    return bool(_MD5.fullmatch(found)) and found.partition("-")[2] == expected.partition("-")[2]


def _plain(etag: t.Optional[str]) -> str:
    return (etag or "").replace('"', "").replace("&#34;", "")


def _refused(address: Address, doing: str, code: str, message: str, response: t.Any) -> Failure:
    where = f"{address.endpoint} refused to {doing} ({code}: {message.rstrip('.')})"
    if code == "NoSuchBucket":
        return Failure(
            f"s3.bucket: there is no bucket {address.bucket} at {address.endpoint}. Make it, for backups alone, or "
            "correct the name; it is not made here."
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidTokenId"):
        return Failure(
            f"s3.secret: {where}. The access key or the secret key is wrong: correct {ACCESS_KEY} and {SECRET_KEY} in "
            "the Secret, or s3.access_key and s3.secret_key."
        )
    if code == "AccessDenied":
        return Failure(
            f"s3.secret: {where}. The keys are right and lack a right: they need to list {address.bucket}, and to get, "
            f"put and delete objects below {address.prefix or 'its root'} (s3:ListBucket, s3:GetObject, s3:PutObject, "
            "s3:DeleteObject, s3:ListBucketMultipartUploads, s3:AbortMultipartUpload)."
        )
    if code == "RequestTimeTooSkewed":
        return Failure(
            f"s3.endpoint: {where}. The clock here is {_skew(response)}, and a signature holds for 15 minutes only. "
            "Set the clock of this host or node, or that of the server."
        )
    if code in ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"):
        return Failure(
            f"s3.region: {where}. The bucket is in another region than {address.region}: name that one, and the "
            "endpoint of it."
        )
    if code in ("XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"):
        return Failure(
            f"s3.bucket: {where}. There is no room left: give {address.bucket} more, or keep fewer backups (keep). "
            "What was begun is removed."
        )
    return Failure(
        f"s3: {where}. Look at the log of the server; s3.endpoint, s3.bucket and s3.region say where it is asked."
    )


def _skew(response: t.Any) -> str:
    try:
        theirs = email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (AttributeError, KeyError, TypeError, ValueError):
        return "far from that of the server"
    minutes = (time.time() - theirs) / 60
    return f"{abs(minutes):.0f} minutes {'ahead of' if minutes > 0 else 'behind'} that of the server"


def _away(address: Address, doing: str, exc: BaseException) -> Failure:
    why = str(getattr(exc, "reason", None) or exc)
    # What stands before it is the address in memory of a connection.
    why = re.sub(r"<[^>]*>:? ?|^\w+\(.*?\): ", "", why)
    if any(word in why for word in ("CERTIFICATE_VERIFY_FAILED", "certificate", "doesn't match")):
        return Failure(
            f"s3.endpoint: the certificate of {address.endpoint} cannot be trusted ({why}). Give the authority "
            f"that issued it (key {AUTHORITIES} of the Secret, or s3.ca_cert), and name the server as it does."
        )
    return Failure(
        f"s3.endpoint: {address.endpoint} was asked to {doing} and does not answer ({why}). Correct the endpoint, or "
        "see that the server runs and can be reached from where this runs: a Service of the cluster can be reached "
        "from its pods alone. What was begun is removed by the next run."
    )


class _Download(io.RawIOBase):
    """An object from its beginning to its end, taken up again where it broke off."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        self._bucket = bucket
        self._path = path
        self._at = 0
        self._etag = ""
        self._size = -1
        self._answer: t.Any = None
        self._begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        import urllib3.exceptions

        for number in range(1, TRIES + 1):
            if self._at == self._size:
                return 0
            try:
                if self._answer is None:
                    self._begin()
                data = self._answer.read(len(buffer))
                if data:
                    buffer[: len(data)] = data
                    self._at += len(data)
                    return len(data)
                why: BaseException = EOFError("it ended too early")
            except (urllib3.exceptions.HTTPError, OSError) as exc:
                if isinstance(exc, Gone):
                    raise
                why = exc
            self._hang_up()
            if number < TRIES:
                time.sleep(number * 0.5)
        raise _away(self._bucket.address, f"read {self._path}", why) from why

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _begin(self) -> None:
        self._answer = self._bucket.stream(self._path, self._at, self._etag)
        if self._size < 0:
            self._size = int(self._answer.headers["Content-Length"])
            self._etag = _plain(self._answer.headers.get("ETag"))

    def _hang_up(self) -> None:
        if self._answer is not None:
            with contextlib.suppress(Exception):
                self._answer.close()
                self._answer.release_conn()
            self._answer = None


class _Stopped(Exception):
    """Whoever writes has given up."""


class Upload:
    """An object that is being written: sent in parts by a thread, and nothing of it is there before finish()."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        self.path = path
        self._bucket = bucket
        # None for the end; an exception to give up.
        self._waiting: queue.Queue[t.Union[bytes, BaseException, None]] = queue.Queue(WAITING)
        self._left = b""
        self._ended = False
        self._parts: list[bytes] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._in_part = 0
        self._gathered = bytearray()
        self._etag = ""
        self._error: t.Optional[BaseException] = None
        self._thread: t.Optional[threading.Thread] = None

    def write(self, data: bytes) -> int:
        self._gathered += data
        while len(self._gathered) >= CHUNK:
            self._send(bytes(self._gathered[:CHUNK]))
            del self._gathered[:CHUNK]
        return len(data)

    def finish(self) -> Entry:
        if self._gathered:
            self._send(bytes(self._gathered))
        self._put(None)
        if self._thread is None:
            self._etag = self._bucket.put(self.path, b"")
            return Entry(self.path, 0, self._etag)
        self._thread.join()
        self._raise()
        parts = [*self._parts, *([self._part.digest()] if self._in_part else [])]
        size = (len(self._parts) * PART) + self._in_part
        whole = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
        expected = parts[0].hex() if len(parts) == 1 else f"{whole}-{len(parts)}"
        return Entry(self.path, size, self._bucket._checked(self.path, self._etag, expected))

    def discard(self) -> None:
        """Nothing of it is kept, at the server either."""
        self._put(_Stopped())
        if self._thread is not None:
            self._thread.join(SILENCE)

    def read(self, size: int = -1) -> bytes:
        """For the thread that sends: as a file."""
        while not self._left and not self._ended:
            found = self._waiting.get()
            if isinstance(found, BaseException):
                raise found
            self._ended, self._left = found is None, found or b""
        part, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return part

    def _send(self, data: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        at = 0
        while at < len(data):
            piece = data[at : at + PART - self._in_part]
            self._part.update(piece)
            self._in_part += len(piece)
            at += len(piece)
            if self._in_part == PART:
                self._parts.append(self._part.digest())
                self._part, self._in_part = hashlib.md5(usedforsecurity=False), 0
        self._put(data)

    def _put(self, what: t.Union[bytes, BaseException, None]) -> None:
        """As soon as there is room; not where nobody takes it any more."""
        while self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put(what, timeout=0.5)
                return
        if not isinstance(what, BaseException):
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._etag = self._bucket.put_stream(self.path, self)
        except BaseException as exc:
            self._error = exc
