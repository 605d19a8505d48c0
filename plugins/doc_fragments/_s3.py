# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """A bucket as a place for backups."""

    DOCUMENTATION = r"""
options:
  s3:
    description:
      - A bucket of S3 that backups are kept in, whoever serves it (MinIO, Amazon and others). It has to be there.
      - The server is asked from where the task runs, straight and not through the Kubernetes API.
      - The account needs C(s3:ListBucket), C(s3:GetObject), C(s3:PutObject) and C(s3:DeleteObject), and, to remove what
        runs that were killed had sent, C(s3:ListBucketMultipartUploads) and C(s3:AbortMultipartUpload).
      - Needs the Python package C(minio), 7.2 or newer.
    type: dict
    suboptions:
      endpoint:
        description: URL of the server.
        type: str
        default: https://s3.amazonaws.com
      bucket:
        description: Name of the bucket.
        type: str
        required: true
      prefix:
        description: Folder in the bucket; by default its root.
        type: str
        default: ""
      region:
        description: Region of the bucket. Servers that know none take the default.
        type: str
        default: us-east-1
      secret:
        description:
          - Name of a Secret, in the namespace of the set, with the keys C(AWS_ACCESS_KEY_ID) and
            C(AWS_SECRET_ACCESS_KEY). C(ca.crt) in it are the authorities (PEM) that the server's certificate is
            checked against, where it is not of one that this host knows.
          - Either this or O(s3.access_key) is required.
        type: str
      access_key:
        description: The access key, in the place of O(s3.secret).
        type: str
      secret_key:
        description: The secret key that belongs to O(s3.access_key).
        type: str
      ca_cert:
        description: File with authorities (PEM) that the server's certificate is checked against.
        type: path
      validate_certs:
        description: Whether to check the server's certificate at all.
        type: bool
        default: true
"""
