# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Pods: commands in their containers, and their replacement."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._kinds import BUILT_IN
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet

# Only v5 can close standard input; v4 is for servers before Kubernetes 1.30.
EXEC_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
STDIN_CHUNK = 32 * 1024

_PODS = BUILT_IN[("v1", "Pod")]


@dataclasses.dataclass(frozen=True)
class Executed:
    """What a command in a container gave back."""

    rc: int
    stdout: str
    stderr: str


def execute(
    cluster: Cluster,
    namespace: str,
    pod: str,
    command: t.Sequence[str],
    container: t.Optional[str] = None,
    stdin: t.Optional[str] = None,
    timeout: float = 60.0,
) -> Executed:
    """Run a command in a container and wait for its end, at most ``timeout`` seconds.

    Raises Failure when the time is up (the command may go on in the container), ApiError when the pod or container
    does not take commands.
    """
    container = container or default_container(cluster, namespace, pod)
    query = [("command", word) for word in command]
    query += [("container", container), ("stdout", "true"), ("stderr", "true")]
    if stdin is not None:
        query.append(("stdin", "true"))
    channel = cluster.connection.websocket(f"{_PODS.path(namespace, pod)}/exec", query, EXEC_PROTOCOLS)
    try:
        return _converse(channel, stdin, timeout, f"{namespace}/{pod}: {command[0]}")
    finally:
        channel.close(timeout=0)


def default_container(cluster: Cluster, namespace: str, pod: str) -> str:
    """The container that kubectl would choose."""
    found = cluster.connection.request("GET", _PODS.path(namespace, pod))
    named = (found["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return str(named or found["spec"]["containers"][0]["name"])


def _converse(channel: t.Any, stdin: t.Optional[str], timeout: float, title: str) -> Executed:
    import websocket

    deadline = time.monotonic() + timeout
    if stdin is not None:
        data = stdin.encode()
        if channel.getsubprotocol() != EXEC_PROTOCOLS[0]:
            raise Failure(
                f"{title}: stdin was given, and this API server cannot close it (it speaks no {EXEC_PROTOCOLS[0]}, "
                "which came with Kubernetes 1.30), so the command would never see its end. Leave stdin out."
            )
        for start in range(0, len(data), STDIN_CHUNK):
            channel.send_binary(bytes([STDIN]) + data[start : start + STDIN_CHUNK])
        channel.send_binary(bytes([CLOSE, STDIN]))
    streams = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    while not streams[STATUS]:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        channel.settimeout(left)
        try:
            _opcode, frame = channel.recv_data()
        except websocket.WebSocketTimeoutException:
            break
        except (websocket.WebSocketException, OSError) as exc:
            raise Failure(f"{title}: the connection to the container broke before the command ended ({exc}).") from exc
        if not frame:
            break
        if frame[0] in streams:
            streams[frame[0]] += frame[1:]
    out, err = (streams[name].decode("utf-8", "replace") for name in (STDOUT, STDERR))
    if not streams[STATUS]:
        raise Failure(
            f"{title}: gave no exit code within {timeout:.0f} s (option timeout), and may still run in the container.",
            stdout=out,
            stderr=err,
        )
    return Executed(exit_code(json.loads(streams[STATUS]), title), out, err)


def exit_code(status: t.Mapping[str, t.Any], title: str) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise Failure(f"{title}: the command could not be started: {status.get('message', 'no reason given')}.")


def replace_pod(
    cluster: Cluster,
    namespace: str,
    name: str,
    uid: str,
    version: t.Optional[str] = None,
    grace: t.Optional[int] = None,
) -> None:
    """Delete this very pod (with ``version``: as it was read), so that its controller makes another. Raises NotYet.

    It has ``grace`` seconds to stop, or those that it declares itself.
    """
    try:
        cluster.delete("v1", "Pod", name, namespace, uid=uid, version=version, grace=grace)
    except ApiError as error:
        if not error.conflict:
            raise
        raise NotYet(f"Pod {namespace}/{name} has changed or been replaced meanwhile") from error
