# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is left to do for the TLS of a replica set, in order, from what was seen alone. Pure.

Members speak to each other, so neighbours on the way from disabled to requireTLS understand each other, and no others
do: at no moment may one member be two modes away from another one, nor from what a member would read that starts now.
What it reads is the Secret, as the kubelet of its node has it, which may be a minute old.

The certificate goes the same way: whoever has to check it has its authority first.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

DISABLED, ALLOW, PREFER, REQUIRE = MODES = ("disabled", "allowTLS", "preferTLS", "requireTLS")

NAMESPACE = "create_namespace"
AUTHORITY = "make_authority"
DECLARE = "declare_certificate"
CREATE = "create"
ADD_AUTHORITY = "add_authority"
TRUST = "trust"
CERTIFICATE = "certificate"
LOAD = "load"
DROP_AUTHORITY = "drop_authority"
RAISE = "raise"
SET_MODE = "set_mode"
WAIT = "wait"


def rank(mode: str) -> int:
    return MODES.index(mode)


@dataclasses.dataclass(frozen=True)
class Issuer:
    """Whom cert-manager is to ask for the certificate."""

    name: str
    kind: str
    group: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class Wish:
    """The declaration."""

    mode: str
    #: a Secret with certificate, key and authority; empty for an authority of our own
    secret: str = ""
    #: days that a certificate of our own holds
    days: int = 365
    #: names beside those that the members have in the cluster
    names: tuple[str, ...] = ()
    #: only what has to be there before the pods are
    prepare: bool = False
    create_namespace: bool = False
    #: who issues in place of an authority of our own
    issuer: t.Optional[Issuer] = None


@dataclasses.dataclass(frozen=True)
class Held:
    """What the Secret of the members has. Certificates are by their fingerprints."""

    mode: str
    certificate: str
    authorities: frozenset[str]
    #: every running member has loaded these authorities
    trusted: bool
    #: of its content as a whole
    version: str
    days_left: int = 0


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the certificate comes from."""

    #: the authority that the certificate is checked against; empty where it is yet to be made
    authorities: frozenset[str] = frozenset()
    #: the certificate that members are to have; empty for one that is to be issued
    certificate: str = ""
    #: why one is to be issued
    why: str = ""
    #: why the authority of our own is to be made, if it is
    why_authority: str = ""
    #: why a Certificate of cert-manager is to be written, if it is
    why_declare: str = ""
    #: why what it asks for is not there yet; nothing is known of the certificate then
    awaited: str = ""


@dataclasses.dataclass(frozen=True)
class Member:
    pod: str
    #: whether its pod has the Secret mounted
    tls: bool = True
    mode: str = ""
    #: what it shows
    certificate: str = ""
    #: what its pod has of the Secret; empty where that was not asked
    version: str = ""
    #: why it cannot be asked
    silence: str = ""


@dataclasses.dataclass(frozen=True)
class Seen:
    name: str
    namespace: str
    source: Source
    held: t.Optional[Held] = None
    there_is_namespace: bool = True
    there_is_set: bool = False
    #: whether pods that are made now speak TLS
    template: bool = False
    members: tuple[Member, ...] = ()

    @property
    def secret(self) -> str:
        return f"{self.namespace}/{self.name}-tls"

    @property
    def authority(self) -> str:
        return f"{self.namespace}/{self.name}-ca"

    @property
    def issued(self) -> str:
        """The Certificate of cert-manager, and its Secret."""
        return f"{self.namespace}/{self.name}-issued"


def plan(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    refusal = _lowers(wish, seen)
    if refusal:
        return refusal
    steps = _objects(wish, seen)
    held = seen.held
    if wish.prepare:
        if seen.source.awaited and held and held.days_left < 0:
            steps.append(_issued(seen))
        # A mongod whose certificate has run out does not even start, so nobody is waited for.
        elif held and held.days_left < 0 and seen.source.certificate != held.certificate:
            same = not seen.source.why_authority and seen.source.authorities <= held.authorities
            steps += [_next_certificate(seen)] if same and held.trusted else []
        return Plan(tuple(steps))
    if held is None:
        # What comes then, as far as it can be told: those without TLS are replaced by others that begin with it.
        first = begins_with(wish, seen)
        begun = tuple(member if member.tls else dataclasses.replace(member, mode=first) for member in seen.members)
        return Plan((*steps, *_raised(wish, dataclasses.replace(seen, members=begun), first)))
    if not seen.there_is_set:
        return Plan((*steps, _wait(seen.name, f"there is a StatefulSet {seen.name}")))
    plain = [member.pod for member in seen.members if not member.tls]
    silent = [f"{member.pod} ({member.silence})" for member in seen.members if member.tls and member.silence]
    # What comes after a certificate that nobody has seen yet is planned when it is there.
    next_certificate = [_issued(seen)] if seen.source.awaited else _certificate(seen, held)
    work = [*next_certificate, *([] if plain else _raised(wish, seen, held.mode))]
    if silent and work:
        work.insert(0, _wait(seen.name, f"every member answers: {'; '.join(silent)}"))
    warnings = []
    if plain:
        warnings.append(
            f"{', '.join(plain)} of {seen.namespace}/{seen.name} run without TLS still, so the mode stays at "
            f"{held.mode}: mongodb_replica_set replaces them, if replace_pods is true."
        )
    return Plan((*steps, *work), tuple(warnings))


def begins_with(wish: Wish, seen: Seen) -> str:
    """The mode that members start with: where others run without TLS already, one that these understand."""
    return ALLOW if seen.there_is_set and not seen.template else wish.mode


def needs_versions(wish: Wish, seen: Seen) -> bool:
    """Whether it matters what the pods have of the Secret by now."""
    held = seen.held
    if held is None or wish.prepare:
        return False
    modes = [rank(member.mode) for member in seen.members if member.mode]
    return (
        not held.trusted
        or any(member.certificate != held.certificate for member in seen.members if member.tls)
        or (held.mode == PREFER and wish.mode == REQUIRE)
        or (held.mode == REQUIRE and any(mode < rank(REQUIRE) for mode in modes))
    )


def _lowers(wish: Wish, seen: Seen) -> t.Optional[Refusal]:
    # Of a set whose pods do not have the Secret it is what another one has left.
    found = [("the Secret " + seen.secret, seen.held.mode)] if seen.held and seen.there_is_set and seen.template else []
    found += [(member.pod, member.mode) for member in seen.members if member.mode]
    above = [f"{who} has {mode}" for who, mode in found if rank(mode) > rank(wish.mode)]
    if not above:
        return None
    return Refusal(
        f"The members of {seen.namespace}/{seen.name} are beyond tlsMode {wish.mode} (mode): a running mongod never "
        "goes back, and one that is started again with an earlier mode does not understand the others. Nothing was "
        "changed.",
        tuple(above),
        (f"declare {max((mode for _who, mode in found), key=rank)} again",),
    )


def _objects(wish: Wish, seen: Seen) -> list[Step]:
    steps = []
    if not seen.there_is_namespace and wish.create_namespace:
        steps.append(Step(NAMESPACE, seen.namespace, f"create Namespace {seen.namespace}", guarded=False))
    if seen.source.why_authority:
        sentence = f"make a certificate authority, and keep it in Secret {seen.authority} ({seen.source.why_authority})"
        steps.append(Step(AUTHORITY, seen.authority, sentence))
    if seen.source.why_declare and wish.issuer:
        sentence = (
            f"declare Certificate {seen.issued}, which {wish.issuer.title} is to issue ({seen.source.why_declare})"
        )
        steps.append(Step(DECLARE, seen.issued, sentence))
    if seen.held is None:
        if seen.source.awaited:
            steps.append(_issued(seen))
        mode = begins_with(wish, seen)
        issued = f"that Secret {seen.authority} issues" if not wish.secret else f"of Secret {wish.secret}"
        issued = f"that {wish.issuer.title} issues" if wish.issuer else issued
        sentence = f"create Secret {seen.secret} for the members: the certificate {issued}, and tlsMode {mode}"
        steps.append(Step(CREATE, seen.secret, sentence, data={"mode": mode}))
    elif not seen.there_is_set and seen.held.mode != wish.mode:
        # It is what a removed set has left: nobody runs who would have to understand the others.
        steps.append(_set_mode(wish.mode, seen))
    elif seen.there_is_set and not seen.template and seen.held.mode != ALLOW:
        # The same, and the members that run now are without TLS.
        steps.append(_set_mode(ALLOW, seen))
    return steps


def _certificate(seen: Seen, held: Held) -> list[Step]:
    """First the authority, then the certificate, and in the end no authority that nothing needs any more."""
    steps: list[Step] = []
    source, members = seen.source, [member for member in seen.members if member.tls]
    adds = bool(source.why_authority) or not source.authorities <= held.authorities
    if adds:
        sentence = f"add the authority of the next certificate to those in Secret {seen.secret}"
        steps.append(Step(ADD_AUTHORITY, seen.secret, sentence))
    if adds or not held.trusted:
        steps += _trust(seen, held, adds)
    changes = source.certificate != held.certificate
    if changes:
        steps.append(_next_certificate(seen))
    for member in members:
        if changes or (not member.silence and member.certificate != held.certificate):
            if not changes and member.version != held.version:
                steps.append(_brought(member, seen))
            steps.append(Step(LOAD, member.pod, f"let {member.pod} load the certificate in Secret {seen.secret}"))
    if held.authorities - source.authorities:
        sentence = f"take the authority of former certificates out of Secret {seen.secret}"
        steps.append(Step(DROP_AUTHORITY, seen.secret, sentence))
        steps += _trust(seen, held, changed=True)
    return steps


def _issued(seen: Seen) -> Step:
    return _wait(seen.issued, f"cert-manager has issued Certificate {seen.issued}: {seen.source.awaited}")


def _next_certificate(seen: Seen) -> Step:
    why = f" ({seen.source.why})" if seen.source.why else ""
    return Step(CERTIFICATE, seen.secret, f"put the next certificate into Secret {seen.secret}{why}")


def _trust(seen: Seen, held: Held, changed: bool) -> list[Step]:
    members = [member for member in seen.members if member.tls]
    late = [] if changed else [member for member in members if member.version != held.version]
    sentence = f"let every member load the authorities in Secret {seen.secret}"
    return [*(_brought(member, seen) for member in late), Step(TRUST, seen.secret, sentence)]


def _brought(member: Member, seen: Seen) -> Step:
    return _wait(member.pod, f"{member.pod} has the newest content of Secret {seen.secret} (a minute at most)")


def _raised(wish: Wish, seen: Seen, held: str) -> list[Step]:
    """To each mode in turn, and to the next one only when no pod would start with the one before the last."""
    steps: list[Step] = []
    members = [member for member in seen.members if member.mode]
    if not seen.there_is_set:
        return steps
    modes = {member.pod: rank(member.mode) for member in members}
    if rank(wish.mode) >= rank(PREFER):
        for member in members:
            if modes[member.pod] < rank(PREFER):
                steps.append(_raise(member.pod, member.mode, PREFER))
    if wish.mode == REQUIRE and held == ALLOW:
        steps.append(_set_mode(PREFER, seen))
    low = [member for member in members if modes[member.pod] < rank(REQUIRE)] if wish.mode == REQUIRE else []
    if seen.held and ((held == PREFER and wish.mode == REQUIRE) or (held == REQUIRE and low)):
        steps += [_brought(member, seen) for member in seen.members if member.version != seen.held.version]
    if held != wish.mode:
        steps.append(_set_mode(wish.mode, seen))
    return [*steps, *(_raise(member.pod, PREFER, REQUIRE) for member in low)]


def _set_mode(mode: str, seen: Seen) -> Step:
    sentence = f"write tlsMode {mode} into Secret {seen.secret}, for members that start from now on"
    return Step(SET_MODE, seen.secret, sentence, data={"mode": mode})


def _raise(pod: str, before: str, mode: str) -> Step:
    return Step(RAISE, pod, f"raise tlsMode of {pod} from {before} to {mode}", data={"mode": mode})


def _wait(target: str, what: str) -> Step:
    return Step(WAIT, target, f"wait until {what}", change=False)
