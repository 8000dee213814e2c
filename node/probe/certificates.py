"""Judges the certificates that a peer's server showed: chain, name, pins, revocation. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509

from node.probe.layers import Layer, LayerResult, ServerCertificate, State, found, not_reached, ok
from trust.binding import BindingVerdict
from trust.bound_chain import KeyRole
from trust.certificates import comparable_host, describe, fingerprint, is_self_signed, san_hosts
from trust.chain import ChainVerdict
from trust.revocation_policy import CertificateStatus
from trust.tls_observer import TlsObservation

SOON = timedelta(days=30)
_REVOCATION = frozenset(
    {
        "key-denied",
        "certificate-revoked",
        "crl-missing",
        "crl-stale",
        "crl-expired",
        "revocation-unknown",
    }
)


def server_certificate(leaf: x509.Certificate) -> ServerCertificate:
    """What a report says of the server's certificate."""
    return ServerCertificate(
        subject=leaf.subject.rfc4514_string(),
        names=tuple(sorted(san_hosts(leaf))),
        issuer=leaf.issuer.rfc4514_string(),
        not_after=leaf.not_valid_after_utc,
        fingerprint=fingerprint(leaf),
    )


def judge_chain(
    seen: TlsObservation, verdict: ChainVerdict | None, *, now: datetime
) -> LayerResult:
    """Our own validation and OpenSSL's, against our anchors; what is missing is named."""
    if seen.presented_unreadable or verdict is None:
        sentence = "A certificate that the server sent cannot be decoded, or there are too many."
        return found(Layer.CHAIN, "certificate-malformed", sentence)
    leaf = seen.presented[0]
    facts = {
        "server sent": "; ".join(_named(certificate) for certificate in seen.presented),
        "valid until": f"{leaf.not_valid_after_utc:%Y-%m-%d}",
    }
    if not verdict.ok:
        sentence = verdict.sentence
        if verdict.reason_code in ("chain-incomplete", "anchor-unknown"):
            sentence = f"{sentence} {_missing(seen.presented)}"
        return found(Layer.CHAIN, verdict.reason_code or "chain-refused", sentence, facts=facts)
    if leaf.not_valid_after_utc - now < SOON:
        days = (leaf.not_valid_after_utc - now).days
        sentence = f"The chain holds; the server's certificate ends in {days} days."
        return found(Layer.CHAIN, "certificate-ends-soon", sentence, state=State.WARN, facts=facts)
    if verdict.warnings:
        first = verdict.warnings[0]
        return found(Layer.CHAIN, first.code, first.sentence, state=State.WARN, facts=facts)
    anchor = describe(verdict.certificates[-1]).subject if verdict.certificates else "an anchor"
    return ok(Layer.CHAIN, f"It chains to {anchor}; OpenSSL agrees.", facts=facts)


def judge_binding(seen: TlsObservation, host: str, verdict: BindingVerdict) -> LayerResult:
    """The host name as TLS checks it, and the organisation as ``trust.binding`` does."""
    names = san_hosts(seen.presented[0])
    if not _is_named(host, seen.presented[0]):
        listed = ", ".join(sorted(names)) or "no host at all"
        sentence = f"The certificate does not name {host}; it names {listed}."
        return found(Layer.BINDING, "host-name-mismatch", sentence)
    if verdict.ok and verdict.method is not None:
        how = f"{verdict.sentence} ({verdict.method.value})"
        return ok(Layer.BINDING, how, {"key": verdict.key})
    code = verdict.reason_code or "tls-name-not-bound"
    if code in _REVOCATION:
        return not_reached(Layer.BINDING, "A revoked key is bound to nobody.")
    return found(Layer.BINDING, code, verdict.sentence, facts={"key": verdict.key})


def judge_revocation(verdict: BindingVerdict) -> LayerResult:
    """What the network's authority, CRLs and OCSP say of the certificate and those above it."""
    code = verdict.reason_code
    if code in _REVOCATION and code is not None:
        return found(Layer.REVOCATION, code, verdict.sentence)
    chain = next((one for one in verdict.chains if one.role is KeyRole.TLS), None)
    decision = chain.revocation if chain is not None else None
    if decision is None:
        sentence = "No authority denied the key; no anchor of ours says whom else to ask."
        return found(Layer.REVOCATION, "revocation-not-checked", sentence, state=State.UNKNOWN)
    facts = {f"serial {one.serial}": ", ".join(_known(one)) for one in decision.certificates} | {
        "rule": f"{decision.policy}, {decision.unknown}"
    }
    if decision.reason_code is not None:
        return found(Layer.REVOCATION, decision.reason_code, decision.sentence, facts=facts)
    if decision.warnings:
        first = decision.warnings[0]
        state = State.WARN
        return found(Layer.REVOCATION, first.code, first.sentence, state=state, facts=facts)
    return ok(Layer.REVOCATION, decision.sentence, facts)


def _known(status: CertificateStatus) -> Iterator[str]:
    yield f"{status.state} by {status.source}"
    if status.crl_number is not None:
        yield f"CRL number {status.crl_number}"
    if status.age is not None:
        yield f"made {status.age.total_seconds() / 3600:.0f} hours ago"


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"


def _missing(presented: Sequence[x509.Certificate]) -> str:
    """Whose certificate would have to come next."""
    current, rest = presented[0], list(presented[1:])
    while not is_self_signed(current):
        above = next((one for one in rest if one.subject == current.issuer), None)
        if above is None:
            issuer = current.issuer.rfc4514_string()
            return f"Missing: the certificate of {issuer}, which issued {_named(current)}."
        rest.remove(above)
        current = above
    return f"The root is {_named(current)}, SHA-256 {fingerprint(current)}."


def _is_named(host: str, leaf: x509.Certificate) -> bool:
    """As the TLS client checks it: the SAN alone, a wildcard for one left-most label."""
    wanted = comparable_host(host)
    if wanted is None:
        return False
    if wanted in san_hosts(leaf):
        return True
    _, dot, parent = wanted.partition(".")
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    wild = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return bool(dot) and f"*.{parent}" in wild
