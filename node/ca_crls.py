"""Whom a development CA revoked, and the CRLs that say so: ``NAME.revoked.json`` in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from node.errors import SettingsError
from trust.ca import CertificateAuthority
from trust.ca_crl import issue_crl
from trust.files import write_file
from trust.path import signed_by

_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What a CA remembers: the number of its last CRL, and the moments of revocation by serial."""

    number: int = 0
    serials: Mapping[int, datetime] = field(default_factory=dict)


def read_revoked(folder: Path, name: str) -> Revoked:
    """What the CA in a folder revoked so far.

    Raises:
        SettingsError: ``ca-records-invalid``.
    """
    file = _file(folder, name)
    try:
        with file.open("rb") as stream:
            held = json.loads(stream.read(_MAX_BYTES))
        return Revoked(
            number=int(held["number"]),
            serials={int(k, 16): datetime.fromisoformat(v) for k, v in held["revoked"].items()},
        )
    except FileNotFoundError:
        return Revoked()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            "ca-records-invalid", "What a CA revoked cannot be read.", where=str(file)
        ) from error


def revoke(
    folder: Path,
    name: str,
    authority: CertificateAuthority,
    certificate: x509.Certificate,
    *,
    now: datetime,
) -> bool:
    """Remembers that a certificate is revoked; whether it was not before. CRLs say it from now on.

    Raises:
        SettingsError: ``ca-not-issuer``, ``ca-records-invalid``.
        TrustError: ``file-not-written``.
    """
    if not signed_by(certificate, authority.certificate):
        raise SettingsError("ca-not-issuer", "This CA did not issue the certificate.")
    before = read_revoked(folder, name)
    if certificate.serial_number in before.serials:
        return False
    moment = now.replace(microsecond=0)
    serials = {**before.serials, certificate.serial_number: moment}
    _write(folder, name, replace(before, serials=serials))
    return True


def next_crl(
    folder: Path,
    name: str,
    authority: CertificateAuthority,
    *,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateRevocationList:
    """Signs the next CRL of the CA, with a number of its own.

    Raises:
        SettingsError: ``ca-records-invalid``.
        TrustError: ``file-not-written``.
    """
    before = read_revoked(folder, name)
    number = before.number + 1
    crl = issue_crl(authority, before.serials, number=number, now=now, lifetime=lifetime)
    _write(folder, name, replace(before, number=number))  # first: no number is used twice
    return crl


def der(crl: x509.CertificateRevocationList) -> bytes:
    """The form in which CRLs are served (RFC 5280 4.2.1.13)."""
    return crl.public_bytes(Encoding.DER)


def _write(folder: Path, name: str, held: Revoked) -> None:
    text = json.dumps(
        {
            "number": held.number,
            "revoked": {f"{k:x}": v.isoformat() for k, v in sorted(held.serials.items())},
        },
        indent=1,
    )
    write_file(_file(folder, name), text.encode("ascii"), replace=True)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.revoked.json"
