"""Who signed a CRL: a CA of the chain itself, or a key that the same anchor vouches for.

Most CAs sign their CRLs with the key of their certificates. Some have a key of its own for CRLs, in
a certificate of the same name below the same anchor (RFC 5280 6.3.3 f). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from trust.certificate_rules import check_issuer, check_leaf
from trust.crl import Crl, check_crl
from trust.errors import TrustError
from trust.key_floor import Finding
from trust.path import Path, candidate_paths, path_refusal
from trust.second_opinion import openssl_refusal
from trust.usages import Usage

MAX_OTHERS = 16


def find_signer(
    crl: Crl,
    path: Sequence[x509.Certificate],
    others: Sequence[x509.Certificate] = (),
    *,
    now: datetime,
    stored: Crl | None = None,
) -> Path:
    """The path of the certificate that signed a CRL, that one first, the anchor last.

    Args:
        crl: the CRL.
        path: a validated path, leaf first, anchor last; its CAs are asked first.
        others: further certificates that may hold the CRL key, at most 16.
        now: the moment to judge at.
        stored: the last good CRL of the same series.

    Raises:
        TrustError: what ``check_crl`` has against the CRL by the likeliest signer.
    """
    first: Finding | None = None
    for index in range(1, len(path)):
        finding = check_crl(crl, path[index], now=now, stored=stored)
        if finding is None:
            return tuple(path[index:])
        if finding.code != "crl-issuer-mismatch":
            first = first or finding
    usable = [
        c for c in others[:MAX_OTHERS] if check_leaf(c, usage=Usage.CRL_SIGNER, now=now) is None
    ]
    issuers = [c for c in (*path[1:-1], *usable) if check_issuer(c, now=now) is None]
    for signer in usable:
        finding = check_crl(crl, signer, now=now, stored=stored)
        if finding is not None:
            if finding.code != "crl-issuer-mismatch":
                first = first or finding
            continue
        for candidate in candidate_paths(signer, issuers, path[-1:]):
            refusal = path_refusal(candidate, now=now) or openssl_refusal(candidate, now=now)
            if refusal is None:
                return candidate
    if first is None:
        raise TrustError("crl-issuer-mismatch", "A CRL was issued by another CA or another key.")
    raise TrustError(first.code, first.sentence)
