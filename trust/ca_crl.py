"""The CRL of a development CA (``trust.ca``): whom it revoked, signed with the CA's own key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from trust.ca import BACKDATE, CertificateAuthority

CRL_LIFETIME = timedelta(days=7)


def issue_crl(
    authority: CertificateAuthority,
    revoked: Mapping[int, datetime],
    *,
    number: int,
    now: datetime,
    lifetime: timedelta = CRL_LIFETIME,
) -> x509.CertificateRevocationList:
    """Signs a CRL.

    Args:
        authority: the CA.
        revoked: the moment of revocation by serial number.
        number: its CRLNumber; each CRL of a CA needs a higher one than the last.
        now: the moment it is made; it is dated a little earlier, as certificates are.
        lifetime: until nextUpdate.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATE)
        .next_update(now + lifetime)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    for serial, moment in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())
