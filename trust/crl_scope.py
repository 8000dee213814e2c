"""Which CRLs speak of a certificate, and which belong together (RFC 5280 5.2.4, 5.2.5, 6.3.3).

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

from trust.certificates import is_ca
from trust.crl import REMOVED, Crl, CrlScope, point_text, relative_point_text


def by_scope(crls: Iterable[Crl]) -> list[list[Crl]]:
    """CRLs that belong together: a base and its deltas have the same scope and the same key."""
    groups: dict[tuple[CrlScope, bytes | None], list[Crl]] = {}
    for crl in crls:
        groups.setdefault((crl.scope, crl.issuer_key_id), []).append(crl)
    return list(groups.values())


def fits(delta: Crl, base: Crl) -> bool:
    """RFC 5280 5.2.4: the base is at least what the delta starts from, and older than it."""
    if delta.base_number is None or delta.number is None or base.number is None:
        return False
    return delta.base_number <= base.number < delta.number


def lists(serial: int, base: Crl, delta: Crl | None, *, delta_is_fresh: bool) -> bool:
    """Whether a base and its delta list a serial number as revoked."""
    changed = delta.revoked.get(serial) if delta is not None else None
    if changed == REMOVED:
        # Only a current delta takes something back; an old one may have been overtaken.
        return serial in base.revoked and not delta_is_fresh
    return changed is not None or serial in base.revoked


def in_scope(scope: CrlScope, certificate: x509.Certificate) -> bool:
    """RFC 5280 6.3.3 (b)(2): whether the issuingDistributionPoint takes in a certificate."""
    if scope.only_attribute or (scope.only_user and is_ca(certificate)):
        return False
    if scope.only_ca and not is_ca(certificate):
        return False
    return scope.points is None or not scope.points.isdisjoint(_points(certificate))


def _points(certificate: x509.Certificate) -> set[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return {point_text(x509.DirectoryName(certificate.issuer))}
    names: set[str] = set()
    for point in points:
        if point.crl_issuer:
            continue  # an indirect CRL's: not accepted
        if point.full_name is not None:
            names.update(map(point_text, point.full_name))
        elif point.relative_name is not None:
            names.add(relative_point_text(point.relative_name, certificate.issuer))
    return names
