"""What is to be said of one certificate, each use of it judged as its receivers will. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from cryptography import x509

from trust.certificate_rules import check_anchor, check_issuer, check_leaf
from trust.certificates import describe, is_ca, is_self_signed, san_hosts
from trust.chain import Strength, verify_chain
from trust.csr import describe_csr
from trust.expiry import Expiring, Kind, judge
from trust.key_floor import Finding, weakness
from trust.undecodable import UNDECODABLE
from trust.usages import PARTNER_USES, Usage


def certificate_facts(certificate: x509.Certificate) -> dict[str, object]:
    """What a certificate says, JSON-ready. Raises ``TrustError``."""
    return describe(certificate).as_json()


def request_facts(request: x509.CertificateSigningRequest) -> dict[str, object]:
    """What a signing request asks for, JSON-ready. Raises ``TrustError``."""
    return describe_csr(request)


def fact(moment: datetime) -> str:
    """A moment as the facts have it."""
    return moment.isoformat()


def uses_ruled_out(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    *,
    now: datetime,
    floor: Strength,
    anchors: Mapping[Usage, tuple[x509.Certificate, ...]],
) -> dict[Usage, Finding]:
    """What speaks against each use of partners, by the certificate and by the anchors at hand."""
    found: dict[Usage, Finding] = {}
    for usage in PARTNER_USES:
        finding = check_leaf(leaf, usage=usage, now=now, floor=floor)
        if finding is None and anchors.get(usage):
            verdict = verify_chain(
                leaf, intermediates, anchors[usage], usage=usage, now=now, floor=floor
            )
            if not verdict.ok:
                code = verdict.reason_code or "chain-refused"
                finding = Finding(code=code, sentence=verdict.sentence)
        if finding is not None:
            found[usage] = finding
    return found


def certificate_findings(
    certificate: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    *,
    now: datetime,
    floor: Strength,
    anchors: Mapping[Usage, tuple[x509.Certificate, ...]],
) -> tuple[Finding, ...]:
    """Everything wrong or doubtful, each thing once; what holds for every use is said plainly.

    Raises:
        TrustError: ``certificate-invalid``, ``key-kind-refused``.
    """
    if is_ca(certificate):
        check = check_anchor if is_self_signed(certificate) else check_issuer
        found = [check(certificate, now=now)]
        general = [finding for finding in found if finding is not None]
    else:
        out = uses_ruled_out(certificate, intermediates, now=now, floor=floor, anchors=anchors)
        # A certificate is not meant for every use: only one that is good for none has a fault.
        general = list(out.values()) if len(out) == len(PARTNER_USES) else []
        general += _names(certificate)
    weak = _weak(certificate)
    return tuple(dict.fromkeys((*general, *weak, *_ending(certificate, now=now))))


def _names(leaf: x509.Certificate) -> list[Finding]:
    described = describe(leaf)
    if not (described.dns_names or described.uris or described.ip_addresses):
        return [
            Finding(
                code="certificate-name-missing",
                sentence="It has no host name, URI or address; a common name is not looked at.",
            )
        ]
    matched = san_hosts(leaf)
    ignored = [name for name in described.dns_names if name.lower() not in matched]
    return [
        Finding(
            code="certificate-name-ignored",
            sentence=f"The name {name!r} matches no host here: no wildcards, no odd spellings.",
        )
        for name in ignored
    ]


def _weak(certificate: x509.Certificate) -> Iterable[Finding]:
    try:
        found = weakness(certificate)
    except UNDECODABLE:
        return ()
    return () if found is None else (found,)


def _ending(certificate: x509.Certificate, *, now: datetime) -> Iterable[Finding]:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    due = judge(
        Expiring(kind=Kind.CERTIFICATE, name="", not_after=end, lifetime=end - start), now=now
    )
    if due.rung is None or now > end:
        return ()  # its end is far, or its rule has said that it is past
    left = f"{max(due.left.days, 0)} days" if due.left.days != 1 else "1 day"
    return (Finding(code="certificate-ends-soon", sentence=f"It ends in {left}."),)
