# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One authenticated connection to one API server: plain requests, watches, web sockets.

The official ``kubernetes`` package does what it is good at: every way to log in (``kubernetes.config``) and the
connection pool with TLS and proxies (``RESTClientObject``). Its generated API is not used: importing that costs more
than a whole task may. Where a server and a secret are simply given, even the package itself is not needed (_plain).
"""

from __future__ import annotations

import base64
import gc
import json
import os
import shutil
import ssl
import tempfile
import time
import typing as t
from urllib.parse import urlencode, urlsplit

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._options import ConnectionOptions
from ansible_collections.stateful.kube.plugins.module_utils._cluster._plain import (
    PlainConfiguration,
    is_plain,
    plain_configuration,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, MissingLibrary

Query = t.Sequence[tuple[str, t.Union[str, int, bool]]]

# Seconds. A read that takes longer than this has lost its server.
REQUEST_TIMEOUT = 30.0
# Kept open at most, as the official client does it on two cores.
CONNECTIONS = 8
# Pauses between attempts of a request that is safe to repeat (seconds): an API server that restarts, a load balancer.
RETRY_PAUSES = (0.2, 0.5, 1.0, 2.0)
# The server asks for patience with these.
BUSY = (429, 502, 503, 504)


def preload() -> None:
    """Import what a connection needs, so that a parent process pays for it once and its forked workers do not.

    What is loaded by then stays to the end of the run. It is taken out of garbage collection's sight, because a
    collection in a forked worker would copy all of its memory.
    """
    try:
        import urllib3  # noqa: F401
        import websocket  # noqa: F401

        if not is_plain(os.environ):
            import kubernetes.client.configuration
            import kubernetes.client.rest
            import kubernetes.config  # noqa: F401
    except ImportError:
        # The task itself says clearly what is missing.
        return
    gc.freeze()


class Connection:
    """Requests of several threads may be under way at once."""

    def __init__(self, options: ConnectionOptions, environment: t.Optional[t.Mapping[str, str]] = None) -> None:
        try:
            import urllib3
            import websocket  # noqa: F401
        except ImportError as exc:
            # Both come with it.
            raise MissingLibrary("kubernetes", str(exc)) from exc
        self._options = options
        self._transport_errors = (urllib3.exceptions.HTTPError, OSError)
        # The package writes credentials that a kubeconfig holds into files. They live only until they are loaded.
        private = tempfile.mkdtemp(prefix="stateful-kube-")
        try:
            around = os.environ if environment is None else environment
            self.configuration, self.namespace = _configure(options, around, private)
            self._http = _http_pool(self.configuration, _tls(self.configuration))
            # urllib3 switches the host name check of a context off and checks by itself: web sockets need their own.
            self._websocket_tls = _tls(self.configuration)
        finally:
            shutil.rmtree(private, ignore_errors=True)

    def close(self) -> None:
        self._http.clear()

    @property
    def server(self) -> str:
        return str(self.configuration.host).rstrip("/")

    def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: t.Any = None,
        content_type: str = "application/json",
        repeatable: t.Optional[bool] = None,
        warn: t.Optional[t.Callable[[str], None]] = None,
    ) -> dict[str, t.Any]:
        """Send one request and return the decoded answer. Raises ApiError, Unreachable.

        ``repeatable`` requests (by default reads) are sent again when the server does not answer or is busy.
        """
        pauses = RETRY_PAUSES if (method == "GET" if repeatable is None else repeatable) else ()
        encoded = None if body is None else json.dumps(body).encode()
        headers = {**self._headers(), "Accept": "application/json"}
        if encoded is not None:
            headers["Content-Type"] = content_type
        for pause in (*pauses, None):
            try:
                response = self._send(method, path, query, headers, encoded, REQUEST_TIMEOUT)
            except Unreachable:
                if pause is None:
                    raise
            else:
                text = response.data.decode("utf-8", "replace")
                if pause is None or response.status not in BUSY:
                    return self._decode(method, path, response, text, warn)
            time.sleep(pause or 0)
        raise Failure("unreachable code")  # the last turn returns or raises

    def text(self, path: str, query: Query = ()) -> str:
        """GET something that is not JSON (a pod's log)."""
        response = self._send("GET", path, query, self._headers(), None, REQUEST_TIMEOUT)
        text = str(response.data.decode("utf-8", "replace"))
        if response.status >= 400:
            self._decode("GET", path, response, text, None)
        return text

    def watch(self, path: str, query: Query, seconds: float) -> t.Iterator[dict[str, t.Any]]:
        """Yield watch events until the server ends the stream after about ``seconds``."""
        query = [*query, ("watch", "true"), ("timeoutSeconds", max(1, round(seconds)))]
        response = self._send("GET", path, query, {**self._headers(), "Accept": "application/json"}, None, seconds + 5)
        if response.status >= 400:
            self._decode("GET", path, response, response.data.decode("utf-8", "replace"), None)
        rest = b""
        try:
            for chunk in response.stream(65536, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except self._transport_errors:
            return
        finally:
            response.close()

    def websocket(self, path: str, query: Query, protocols: t.Sequence[str]) -> t.Any:
        """Open a web socket (``websocket.WebSocket``) that carries this connection's identity."""
        import websocket

        config = self.configuration
        address = urlsplit(self.server)
        scheme = "wss" if address.scheme == "https" else "ws"
        url = f"{scheme}://{address.netloc}{address.path}{path}?{urlencode(query)}"
        tls: dict[str, t.Any] = {"context": self._websocket_tls}
        if getattr(config, "tls_server_name", None):
            tls["server_hostname"] = config.tls_server_name
        through: dict[str, t.Any] = {}
        if config.proxy and not _bypasses_proxy(self.server, config.no_proxy):
            proxy = urlsplit(config.proxy)
            through = {
                "http_proxy_host": proxy.hostname,
                "http_proxy_port": proxy.port,
                "proxy_type": proxy.scheme or "http",
            }
            if proxy.username:
                through["http_proxy_auth"] = (proxy.username, proxy.password or "")
        else:
            # Without this, websocket-client would look for proxies in the environment by rules of its own.
            through = {"http_no_proxy": ["*"]}
        headers = [f"{name}: {value}" for name, value in self._headers().items()]
        headers += [f"Impersonate-Group: {group}" for group in self._options.impersonate_groups]
        channel = websocket.WebSocket(sslopt=tls, enable_multithread=True)
        try:
            channel.connect(url, header=headers, subprotocols=list(protocols), timeout=REQUEST_TIMEOUT, **through)
        except websocket.WebSocketBadStatusException as exc:
            body = exc.resp_body.decode("utf-8", "replace") if exc.resp_body else ""
            raise self._api_error("GET", path, exc.status_code, body) from exc
        except (OSError, websocket.WebSocketException) as exc:
            raise self._unreachable(exc) from exc
        channel.settimeout(None)
        return channel

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "stateful.kube"}
        for setting in self.configuration.auth_settings().values():
            if setting.get("in") == "header" and setting.get("value"):
                headers[setting["key"]] = str(setting["value"]).strip()
        if self._options.username and self._options.password:
            pair = f"{self._options.username}:{self._options.password}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if self._options.impersonate_user:
            headers["Impersonate-User"] = self._options.impersonate_user
        return headers

    def _send(
        self,
        method: str,
        path: str,
        query: Query,
        headers: t.Mapping[str, str],
        body: t.Optional[bytes],
        seconds: float,
    ) -> t.Any:
        import urllib3

        url = f"{self.server}{path}"
        if query:
            url += f"?{urlencode([(k, str(v).lower() if isinstance(v, bool) else v) for k, v in query])}"
        sent = urllib3.HTTPHeaderDict(headers)
        for group in self._options.impersonate_groups:
            sent.add("Impersonate-Group", group)
        try:
            return self._http.request(
                method,
                url,
                headers=sent,
                body=body,
                preload_content="watch" not in dict(query),
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=10.0, read=seconds),
            )
        except self._transport_errors as exc:
            raise self._unreachable(exc) from exc
        except ValueError:
            # Its text quotes the header, which is the token.
            raise Failure(
                "The credentials of this connection hold a character that no HTTP header can carry, such as a line "
                "break in the middle of the token. Correct api_key (K8S_AUTH_API_KEY), or the token in the kubeconfig."
            ) from None

    def _unreachable(self, exc: BaseException) -> Unreachable:
        hint = "check that host, kubeconfig or context name the cluster you mean, and that it can be reached from here"
        if "CERTIFICATE_VERIFY_FAILED" in str(exc) or "certificate" in str(exc).lower():
            hint = "its certificate is not trusted: name the right authority with ca_cert, or see validate_certs"
        return Unreachable(f"The Kubernetes API server {self.server} cannot be reached ({_short(exc)}): {hint}.")

    def _decode(
        self, method: str, path: str, response: t.Any, text: str, warn: t.Optional[t.Callable[[str], None]]
    ) -> dict[str, t.Any]:
        if response.status >= 400:
            raise self._api_error(method, path, response.status, text)
        if warn:
            for line in response.headers.getlist("Warning"):
                # 299 - "text": RFC 9110 allowed such a header, and the API server uses it for deprecations.
                warn(line.split('"')[1] if '"' in line else line)
        try:
            decoded = json.loads(text)
        except ValueError as exc:
            raise ApiError(
                f"{self.server} answered {method} {path} with something that is not JSON: it does not look like a "
                "Kubernetes API server. Check the option host, or the server in the kubeconfig.",
                response.status,
            ) from exc
        return t.cast("dict[str, t.Any]", decoded)

    def _api_error(self, method: str, path: str, status: int, text: str) -> ApiError:
        try:
            said = json.loads(text)
        except ValueError:
            said = {}
        if not isinstance(said, dict):
            said = {}
        message = str(said.get("message") or text.strip()[:300] or f"HTTP status {status}")
        reason = str(said.get("reason") or "")
        if status == 401:
            return ApiError(
                f"The API server {self.server} does not accept these credentials (401 Unauthorized): the token or "
                "certificate is wrong, expired, or meant for another cluster. Check api_key (K8S_AUTH_API_KEY), "
                "client_cert and client_key, or log in anew for the kubeconfig in use.",
                status,
                reason,
            )
        if status == 403:
            return ApiError(
                f"The API server refuses this: {message.rstrip('.')}. Give the account that verb on that resource "
                "(a Role or ClusterRole and its binding), or run the task as another account.",
                status,
                reason,
            )
        return ApiError(message, status, reason, said.get("details"))


def _configure(options: ConnectionOptions, environment: t.Mapping[str, str], private: str) -> tuple[t.Any, str]:
    """Return the client configuration and the namespace that the context names."""
    plain = plain_configuration(options, environment, private)
    if plain:
        _overlay(plain[0], options)
        return plain
    try:
        import kubernetes.config
        from kubernetes.client.configuration import Configuration
        from kubernetes.config import kube_config
    except ImportError as exc:
        raise MissingLibrary("kubernetes", str(exc)) from exc

    configuration = Configuration()
    source = options.source(environment)
    namespace = "default"
    try:
        if source == "in-cluster":
            kubernetes.config.load_incluster_config(client_configuration=configuration)
            namespace = _account_namespace()
        elif source != "options":
            if isinstance(options.kubeconfig, dict):
                content, where = options.kubeconfig, "the given dictionary"
                kube_config.load_kube_config_from_dict(
                    content,
                    context=options.context,
                    client_configuration=configuration,
                    persist_config=False,
                    temp_file_path=private,
                )
                contexts, current = content.get("contexts") or [], content.get("current-context")
                active = next((c for c in contexts if c.get("name") == (options.context or current)), None)
            else:
                where = options.kubeconfig_path(environment)
                if source == "default" and not os.path.exists(where):
                    raise Failure(
                        f"No cluster is named: expected kubeconfig, or host with api_key (or K8S_AUTH_* in the "
                        f"environment), or KUBECONFIG, or the file {where}; found none of them. Set one."
                    )
                kube_config.load_kube_config(
                    config_file=where,
                    context=options.context,
                    client_configuration=configuration,
                    persist_config=options.persist_config,
                    temp_file_path=private,
                )
                contexts, current = kube_config.list_kube_config_contexts(config_file=where)
                active = next((c for c in contexts if c["name"] == options.context), current)
            namespace = ((active or {}).get("context") or {}).get("namespace") or "default"
    except kubernetes.config.ConfigException as exc:
        raise Failure(
            f"kubeconfig: {where if source != 'in-cluster' else 'the in-cluster account'} cannot be used "
            f"({exc}). Check the path, the option context and the file's current-context."
        ) from exc
    finally:
        # The package remembers the credential files it wrote, and would hand a deleted one to the next connection.
        remembered = getattr(kube_config, "_temp_files", {})
        for content_key in [key for key, name in remembered.items() if name.startswith(private)]:
            del remembered[content_key]
    _overlay(configuration, options)
    return configuration, namespace


def _overlay(configuration: t.Any, options: ConnectionOptions) -> None:
    """Explicit options win over what a configuration file says."""
    for name, value in (
        ("host", options.host and options.host.rstrip("/")),
        ("ssl_ca_cert", options.ca_cert),
        ("cert_file", options.client_cert),
        ("key_file", options.client_key),
        ("proxy", options.proxy),
        ("no_proxy", options.no_proxy),
    ):
        if value:
            setattr(configuration, name, value)
    if options.host and "://" not in options.host:
        configuration.host = f"https://{configuration.host}"
    if options.validate_certs is not None:
        configuration.verify_ssl = options.validate_certs
    if options.api_key:
        configuration.api_key = {"authorization": f"Bearer {options.api_key.strip()}"}
        configuration.refresh_api_key_hook = None
    if options.proxy_headers:
        import urllib3

        configuration.proxy_headers = urllib3.util.make_headers(**t.cast("dict[str, t.Any]", options.proxy_headers))
    for name in ("ssl_ca_cert", "cert_file", "key_file"):
        path = getattr(configuration, name)
        if path and not os.path.isfile(path):
            option = {"ssl_ca_cert": "ca_cert", "cert_file": "client_cert", "key_file": "client_key"}[name]
            raise Failure(f"{option}: expected a readable file, found none at {path}. Correct the path.")


def _http_pool(configuration: t.Any, context: ssl.SSLContext) -> t.Any:
    import urllib3

    if not configuration.verify_ssl:
        # The user switched verification off; the library would say so at every single request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if isinstance(configuration, PlainConfiguration):
        pool = urllib3.PoolManager(maxsize=CONNECTIONS, ssl_context=context)
        if configuration.tls_server_name:
            pool.connection_pool_kw["server_hostname"] = configuration.tls_server_name
        return pool
    from kubernetes.client.rest import RESTClientObject

    pool = RESTClientObject(configuration).pool_manager
    for loaded in ("ca_certs", "ca_cert_data", "cert_file", "key_file"):
        pool.connection_pool_kw.pop(loaded, None)
    pool.connection_pool_kw["ssl_context"] = context
    return pool


def _tls(configuration: t.Any) -> ssl.SSLContext:
    """Everything that TLS needs, loaded from its files now."""
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or _default_ca())
        # Python 3.13 refuses authorities without key identifiers, as many clusters have them; kubectl takes them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not configuration.verify_ssl or configuration.assert_hostname is False:
            context.check_hostname = False
        if not configuration.verify_ssl:
            context.verify_mode = ssl.CERT_NONE
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as exc:
        raise Failure(
            f"The certificates of this connection cannot be loaded ({exc}): check ca_cert, client_cert and client_key, "
            "or the certificate data in the kubeconfig. Each has to be PEM, and the key has to fit its certificate."
        ) from exc
    return context


def _default_ca() -> str:
    import certifi

    return str(certifi.where())


def _bypasses_proxy(server: str, no_proxy: t.Optional[str]) -> bool:
    from kubernetes.client import rest

    bypasses: t.Callable[[str, str], bool] = rest.should_bypass_proxies
    return bypasses(server, no_proxy or "")


def _account_namespace() -> str:
    try:
        with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace", encoding="utf-8") as file:
            return file.read().strip() or "default"
    except OSError:
        return "default"


def _short(exc: BaseException) -> str:
    """The innermost cause in a few words: urllib3 wraps it in objects whose text starts with an address."""
    text = str(getattr(exc, "reason", None) or exc)
    return text.rsplit("> ", maxsplit=1)[-1].split(": ", 1)[-1].strip("()'\" ")[:200] or type(exc).__name__
