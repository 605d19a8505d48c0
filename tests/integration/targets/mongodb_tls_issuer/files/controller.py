# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One turn of cert-manager's controllers for one Certificate: ``controller.py KUBECONFIG NAMESPACE NAME [WHY]``.

A double, because cert-manager itself takes minutes to build. It issues what the Certificate asks for, by an authority
that it makes with the first one, and says so in its status; with WHY it says why it does not.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import sys
import typing as t

import kubernetes
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GROUP, VERSION, PLURAL = "cert-manager.io", "v1", "certificates"
USAGES = {"server auth": x509.ExtendedKeyUsageOID.SERVER_AUTH, "client auth": x509.ExtendedKeyUsageOID.CLIENT_AUTH}
PEM = serialization.Encoding.PEM
HIDDEN = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def signed(
    subject: x509.Name, issuer: x509.Name, key: t.Any, signer: t.Any, life: datetime.timedelta, *extensions: t.Any
) -> x509.Certificate:
    begin = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + life)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())


def usage(**allowed: bool) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    every = {*names.split(), "crl_sign", "encipher_only", "decipher_only"}
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in every})


def authority(core: t.Any, namespace: str) -> tuple[x509.Certificate, t.Any]:
    """That of the Issuer, in a Secret beside it."""
    try:
        data = core.read_namespaced_secret("issuer", namespace).data
        pair = [base64.b64decode(data[name]) for name in ("tls.crt", "tls.key")]
        return x509.load_pem_x509_certificate(pair[0]), serialization.load_pem_private_key(pair[1], None)
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "corporate")])
    certificate = signed(
        name,
        name,
        key,
        key,
        datetime.timedelta(days=1000),
        (x509.BasicConstraints(True, None), True),
        (usage(key_cert_sign=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )
    write(core, namespace, "issuer", {}, certificate, key, certificate)
    return certificate, key


def write(
    core: t.Any,
    namespace: str,
    name: str,
    template: dict[str, t.Any],
    certificate: x509.Certificate,
    key: t.Any,
    root: x509.Certificate,
) -> None:
    texts = {
        "tls.crt": certificate.public_bytes(PEM),
        "tls.key": key.private_bytes(PEM, *HIDDEN),
        "ca.crt": root.public_bytes(PEM),
    }
    data = {name: base64.b64encode(text).decode() for name, text in texts.items()}
    body = {"metadata": {"name": name, **template}, "type": "kubernetes.io/tls", "data": data}
    try:
        core.create_namespaced_secret(namespace, body)
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
        core.patch_namespaced_secret(name, namespace, body)


def issue(core: t.Any, namespace: str, spec: dict[str, t.Any]) -> None:
    root, signer = authority(core, namespace)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(name) for name in spec["dnsNames"]]
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in spec.get("ipAddresses", [])]
    subject = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, each) for each in spec["subject"]["organizations"]]
    subject.append(x509.NameAttribute(x509.NameOID.COMMON_NAME, spec["commonName"]))
    certificate = signed(
        x509.Name(subject),
        root.subject,
        key,
        signer,
        datetime.timedelta(hours=int(spec["duration"].partition("h")[0])),
        (x509.BasicConstraints(False, None), True),
        (usage(digital_signature="digital signature" in spec["usages"]), True),
        (x509.ExtendedKeyUsage([USAGES[each] for each in spec["usages"] if each in USAGES]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    )
    write(core, namespace, spec["secretName"], spec["secretTemplate"], certificate, key, root)


def main(kubeconfig: str, namespace: str, name: str, why: str = "") -> None:
    api = kubernetes.config.new_client_from_config(kubeconfig)
    core, custom = kubernetes.client.CoreV1Api(api), kubernetes.client.CustomObjectsApi(api)
    found = custom.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
    if not why:
        issue(core, namespace, found["spec"])
    said = {
        "type": "Ready",
        "status": "False" if why else "True",
        "reason": "DoesNotExist" if why else "Ready",
        "message": why or "Certificate is up to date and has not expired",
        "observedGeneration": found["metadata"]["generation"],
        "lastTransitionTime": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    status = {"status": {"conditions": [said]}}
    custom.patch_namespaced_custom_object_status(GROUP, VERSION, namespace, PLURAL, name, status)


if __name__ == "__main__":
    main(*sys.argv[1:])
