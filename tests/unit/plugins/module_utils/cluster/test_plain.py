# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain way to log in finds what the official package finds, and leaves to it what is not plain."""

from __future__ import annotations

import base64
import copy
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.stateful.kube.plugins.module_utils._cluster._options import ConnectionOptions
from ansible_collections.stateful.kube.plugins.module_utils._cluster._plain import is_plain, plain_configuration

kube_config = pytest.importorskip("kubernetes.config.kube_config")
configuration = pytest.importorskip("kubernetes.client.configuration")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


DATA = {"certificate-authority-data": _encoded("the authority")}
CERTIFICATE = {"client-certificate-data": _encoded("the certificate"), "client-key-data": _encoded("the key")}

PLAIN: dict[str, tuple[dict[str, t.Any], dict[str, t.Any]]] = {
    "token": ({"server": "https://h:6443", **DATA}, {"token": "sesame"}),
    "certificate": ({"server": "https://h:6443/", **DATA}, CERTIFICATE),
    "files": (
        {"server": "https://h", "certificate-authority": "ca.crt"},
        {"client-certificate": "sub/c.crt", "client-key": "sub/c.key"},
    ),
    "data before files": (
        {"server": "https://h", "certificate-authority": "ca.crt", **DATA},
        {"client-certificate": "sub/c.crt", "client-key": "sub/c.key", **CERTIFICATE},
    ),
    "both": ({"server": "https://h", **DATA}, {"token": "sesame", **CERTIFICATE}),
    "unverified": ({"server": "https://h", "insecure-skip-tls-verify": True}, {"token": "sesame"}),
    "another name": ({"server": "https://10.0.0.1", "tls-server-name": "kubernetes", **DATA}, {"token": "sesame"}),
    "no identity": ({"server": "http://h:8080"}, {}),
}


def _kubeconfig(cluster: dict[str, t.Any], user: t.Any, namespace: t.Optional[str] = "shop") -> dict[str, t.Any]:
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}, {"name": "there", "context": {"cluster": "d", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": cluster},
            {"name": "d", "cluster": {"server": "https://elsewhere"}},
        ],
        "users": [{"name": "u", "user": user}],
    }


def _facts(found: t.Any) -> dict[str, t.Any]:
    def content(path: t.Optional[str]) -> t.Optional[str]:
        return pathlib.Path(path).read_text(encoding="utf-8") if path else None

    settings = found.auth_settings().get("BearerToken", {})
    return {
        "host": found.host,
        "ca": content(found.ssl_ca_cert),
        "certificate": content(found.cert_file),
        "key": content(found.key_file),
        "verify": found.verify_ssl,
        "name": getattr(found, "tls_server_name", None),
        "token": (settings.get("key"), settings.get("value")) if settings.get("value") else None,
        "proxy": found.proxy or None,
    }


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "private").mkdir()
    for name in ("ca.crt", "sub/c.crt", "sub/c.key"):
        (tmp_path / name).write_text(f"content of {name}", encoding="utf-8")
    return tmp_path


def _plain(folder: pathlib.Path, **params: t.Any) -> t.Any:
    return plain_configuration(ConnectionOptions.of(params), {}, str(folder / "private"))


@pytest.mark.parametrize("context", [None, "there"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_file_means_what_it_means_to_the_official_package(
    folder: pathlib.Path, name: str, context: t.Optional[str]
) -> None:
    path = folder / "config"
    path.write_text(yaml.safe_dump(_kubeconfig(*PLAIN[name])), encoding="utf-8")
    found = _plain(folder, kubeconfig=str(path), context=context)
    assert found is not None
    official = configuration.Configuration()
    kube_config.load_kube_config(str(path), context=context, client_configuration=official)
    assert _facts(found[0]) == _facts(official)
    assert found[1] == ("default" if context else "shop")


@pytest.mark.parametrize("name", [name for name in PLAIN if "files" not in name])
def test_a_dictionary_means_what_it_means_to_the_official_package(folder: pathlib.Path, name: str) -> None:
    content = _kubeconfig(*PLAIN[name])
    found = _plain(folder, kubeconfig=copy.deepcopy(content))
    assert found is not None
    official = configuration.Configuration()
    kube_config.load_kube_config_from_dict(content, client_configuration=official)
    assert _facts(found[0]) == _facts(official)


def test_a_line_break_behind_a_token_is_no_part_of_it(folder: pathlib.Path) -> None:
    found = _plain(folder, kubeconfig=_kubeconfig({"server": "https://h"}, {"token": "sesame\n"}))
    assert found is not None
    assert found[0].auth_settings()["BearerToken"]["value"] == "Bearer sesame"


def test_credentials_from_the_file_are_for_nobody_else(folder: pathlib.Path) -> None:
    found = _plain(folder, kubeconfig=_kubeconfig(*PLAIN["certificate"]))
    assert found is not None
    for path in (found[0].key_file, found[0].cert_file, found[0].ssl_ca_cert):
        assert pathlib.Path(path).parent == folder / "private"
        assert pathlib.Path(path).stat().st_mode & 0o777 == 0o600
    assert "sesame" not in repr(_plain(folder, kubeconfig=_kubeconfig(*PLAIN["token"])))


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({}, {"exec": {"command": "get-a-token"}}),
        ({}, {"auth-provider": {"name": "oidc"}}),
        ({}, {"username": "u", "password": "p"}),
        ({}, {"tokenFile": "/run/token"}),
        ({}, {"as": "somebody"}),
        ({"proxy-url": "http://proxy"}, {"token": "t"}),
        ({"certificate-authority-data": "abc"}, {"token": "t"}),
        ({"server": None}, {"token": "t"}),
        ({}, {"client-certificate-data": CERTIFICATE["client-certificate-data"]}),
        ({}, "u"),
    ],
)
def test_what_is_not_plain_is_left_to_the_official_package(
    folder: pathlib.Path, cluster: dict[str, t.Any], user: t.Any
) -> None:
    content = _kubeconfig({"server": "https://h", **cluster}, user)
    assert _plain(folder, kubeconfig=content) is None


def test_neither_several_files_nor_errors_are_plain(folder: pathlib.Path) -> None:
    path = folder / "config"
    path.write_text(yaml.safe_dump(_kubeconfig(*PLAIN["token"])), encoding="utf-8")
    assert _plain(folder, kubeconfig=str(path)) is not None
    assert _plain(folder, kubeconfig=f"{path}:{path}") is None
    assert _plain(folder, kubeconfig=str(path), context="nowhere") is None
    assert _plain(folder, kubeconfig=str(folder / "none")) is None
    path.write_text("{", encoding="utf-8")
    assert _plain(folder, kubeconfig=str(path)) is None


def test_proxies_and_the_account_of_a_pod_are_left_to_the_official_package(folder: pathlib.Path) -> None:
    content = _kubeconfig(*PLAIN["token"])
    private = str(folder / "private")
    options = ConnectionOptions.of({"kubeconfig": content})
    assert plain_configuration(options, {"https_proxy": "http://proxy"}, private) is None
    assert plain_configuration(ConnectionOptions(), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, private) is None
    assert _plain(folder, kubeconfig=content, proxy="http://proxy") is None
    assert _plain(folder, kubeconfig=content, persist_config=True) is None


def test_the_parent_loads_the_package_only_where_the_tasks_will_need_it(folder: pathlib.Path) -> None:
    path = folder / "config"
    path.write_text(yaml.safe_dump(_kubeconfig(*PLAIN["token"])), encoding="utf-8")
    assert is_plain({"KUBECONFIG": str(path)})
    assert is_plain({"K8S_AUTH_KUBECONFIG": str(path)})
    assert not is_plain({"KUBECONFIG": str(path), "HTTPS_PROXY": "http://proxy"})
    assert not is_plain({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    path.write_text(yaml.safe_dump(_kubeconfig({"server": "https://h"}, {"exec": {}})), encoding="utf-8")
    assert not is_plain({"KUBECONFIG": str(path)})
