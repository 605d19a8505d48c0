# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of MinIO from outside, by its own client and none of the collection's code.

Usage: server.py COMMAND ENDPOINT CA ACCESS SECRET BUCKET [ARGUMENT…], but ``server.py certificate FOLDER NAME…``.

- ``certificate``: an authority and a certificate for these names and addresses, in files of FOLDER;
- ``bucket``: make the bucket, and the user ARGUMENT (its name and password) who may only read;
- ``list``: the objects in it, below ARGUMENT;
- ``uploads``: what was begun of the object ARGUMENT and is not complete;
- ``damage``: change a byte of the object ARGUMENT;
- ``put``: an object ARGUMENT;
- ``part``: send a part of an object ARGUMENT and leave it so.
"""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import pathlib
import sys
import urllib.parse

import minio
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

PART = 5 * 1024 * 1024


def certificate(folder, *names):
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "minio of a test")])
    found = [x509.DNSName(one) if not one[0].isdigit() else x509.IPAddress(ipaddress.ip_address(one)) for one in names]
    public = key.public_key()
    without = ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"]
    usage = dict.fromkeys([*without, "encipher_only", "decipher_only"], False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(found), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    pathlib.Path(folder, "public.crt").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pathlib.Path(folder, "private.key").write_bytes(private)


def bucket(client, name, admin, user, password):
    client.make_bucket(name)
    admin.user_add(user, password)
    admin.attach_policy(["readonly"], user=user)


def damage(client, name, path):
    with client.get_object(name, path) as answer:
        data = bytearray(answer.read())
    data[len(data) // 2] ^= 1
    client.put_object(name, path, io.BytesIO(bytes(data)), len(data))


def main():
    command, *rest = sys.argv[1:]
    if command == "certificate":
        certificate(*rest)
        return
    endpoint, authority, access, secret, name, *arguments = rest
    host = urllib.parse.urlsplit(endpoint).netloc
    pool = urllib3.PoolManager(ca_certs=authority)
    client = minio.Minio(host, access, secret, http_client=pool)
    if command == "bucket":
        admin = MinioAdmin(endpoint=host, credentials=StaticProvider(access, secret), http_client=pool)
        bucket(client, name, admin, *arguments)
    elif command == "list":
        print(json.dumps([one.object_name for one in client.list_objects(name, *arguments, recursive=True)]))
    elif command == "uploads":
        found = client._list_multipart_uploads(name, prefix=arguments[0]).uploads
        print(json.dumps([one.object_name for one in found]))
    elif command == "damage":
        damage(client, name, *arguments)
    elif command == "put":
        client.put_object(name, arguments[0], io.BytesIO(b"{}"), 2)
    elif command == "part":
        upload = client._create_multipart_upload(name, arguments[0], {})
        client._upload_part(name, arguments[0], b"x" * PART, None, upload, 1)


if __name__ == "__main__":
    main()
