"""Certificate revocation lists: read once into a fast form, accepted under RFC 5280's rules.

``parse_crl`` turns bytes into a ``Crl`` whose serial numbers can be looked up in constant time (one
set per CRL; the library's own look-up walks the list). ``check_crl`` decides whether it may be
believed (facts pki A6 rule 3). A CRL with a critical extension that we do not know, of its own or
in an entry, is refused whole; so is an indirect CRL, which no CA of the network uses. Delta CRLs
are read and combined with their base (``trust.revocation``).

Pure. How old a CRL may be is judged where it is used, not here.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trust.distinguished_names import ComparableName, comparable
from trust.errors import TrustError
from trust.key_floor import HASHES, Finding, check_key
from trust.keys import public_key_of
from trust.path import Path, subject_key_id
from trust.undecodable import UNDECODABLE

MAX_CRL_BYTES = 20 * 1024 * 1024
SKEW = timedelta(seconds=60)
"""How far in the future a thisUpdate may lie (facts pki A10)."""

REMOVED = "removeFromCRL"
"""The reason by which a delta CRL takes an entry of its base back."""

ON_HOLD = x509.ReasonFlags.certificate_hold.value
"""The only reason that may end before the certificate does."""

ALL_REASONS = frozenset(
    reason
    for reason in x509.ReasonFlags
    if reason not in {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
)
"""What a CRL without onlySomeReasons covers (RFC 5280 6.3.3)."""


class Freshness(StrEnum):
    """How a CRL stands to its nextUpdate."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlScope:
    """What an issuingDistributionPoint limits a CRL to.

    Attributes:
        only_user: certificates of end entities only.
        only_ca: certificates of CAs only.
        only_attribute: attribute certificates only: nothing of ours.
        reasons: the reasons it covers.
        points: the names of its distribution point, ``None`` when it has none.
    """

    only_user: bool = False
    only_ca: bool = False
    only_attribute: bool = False
    reasons: frozenset[x509.ReasonFlags] = ALL_REASONS
    points: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crl:
    """One CRL in the form in which it is asked.

    Attributes:
        issuer: its issuer in comparable form.
        digest: SHA-256 of its DER, hex.
        number: CRLNumber, or ``None``.
        base_number: for a delta CRL, the CRLNumber of the base that it needs; else ``None``.
        this_update, next_update: its window, UTC.
        issuer_key_id: authorityKeyIdentifier, or ``None``.
        scope: what it covers.
        revoked: reason by serial number.
        source: the CRL itself.
    """

    issuer: ComparableName
    digest: str
    number: int | None
    base_number: int | None
    this_update: datetime
    next_update: datetime
    issuer_key_id: bytes | None
    scope: CrlScope
    revoked: Mapping[int, str] = field(repr=False)
    source: x509.CertificateRevocationList = field(repr=False)

    @property
    def is_delta(self) -> bool:
        """Whether it only says what changed since its base."""
        return self.base_number is not None

    def freshness(self, now: datetime, grace: timedelta) -> Freshness:
        """Fresh until nextUpdate, stale for ``grace`` after it, expired from then on."""
        if now <= self.next_update:
            return Freshness.FRESH
        return Freshness.STALE if now <= self.next_update + grace else Freshness.EXPIRED

    def der(self) -> bytes:
        """The bytes as the CA signed them."""
        return self.source.public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcceptedCrl:
    """A CRL that ``check_crl`` found nothing against.

    Attributes:
        crl: the CRL.
        signer: the path of the certificate whose key signed it, that one first, its anchor last.
        dropped: serial numbers that earlier CRLs of the series listed for good and this one does
            not, with the time of revocation. RFC 5280 3.3 lets a CA drop what has expired only, so
            what has not is still revoked.
    """

    crl: Crl
    signer: Path
    dropped: Mapping[int, datetime] = field(default_factory=dict)


def series(
    crl: Crl, signer: x509.Certificate
) -> tuple[ComparableName, bytes | None, CrlScope, bool]:
    """What names the sequence of CRLs that one replaces: issuer, key, scope, base or delta."""
    return crl.issuer, subject_key_id(signer), crl.scope, crl.is_delta


def parse_crl(der: bytes) -> Crl:
    """Reads a CRL in DER form; takes some milliseconds per thousand entries.

    Raises:
        TrustError: ``crl-too-large``, ``crl-malformed``, ``crl-window-missing``,
            ``crl-extension-unknown``, ``crl-indirect``.
    """
    if len(der) > MAX_CRL_BYTES:
        raise TrustError("crl-too-large", "A CRL is larger than 20 MiB.")
    try:
        source = x509.load_der_x509_crl(der)
        return _read(source, hashlib.sha256(der).hexdigest())
    except UNDECODABLE as error:
        raise TrustError(
            "crl-malformed", "Bytes are not a CRL that can be read.", detail=str(error)
        ) from error


def _read(source: x509.CertificateRevocationList, digest: str) -> Crl:
    this_update, next_update = source.last_update_utc, source.next_update_utc
    if next_update is None or next_update <= this_update:
        raise TrustError("crl-window-missing", "A CRL has no nextUpdate after its thisUpdate.")
    number: int | None = None
    base_number: int | None = None
    key_id: bytes | None = None
    scope = CrlScope()
    for extension in source.extensions:
        value = extension.value
        if extension.critical and extension.oid.dotted_string not in _known("crl"):
            raise _unknown()
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
        elif isinstance(value, x509.DeltaCRLIndicator):
            base_number = value.crl_number
        elif isinstance(value, x509.AuthorityKeyIdentifier):
            key_id = value.key_identifier
        elif isinstance(value, x509.IssuingDistributionPoint):
            scope = _scope(value, source.issuer)
    return Crl(
        issuer=comparable(source.issuer),
        digest=digest,
        number=number,
        base_number=base_number,
        this_update=this_update,
        next_update=next_update,
        issuer_key_id=key_id,
        scope=scope,
        revoked=MappingProxyType(_revoked(source)),
        source=source,
    )


def _revoked(source: x509.CertificateRevocationList) -> dict[int, str]:
    revoked: dict[int, str] = {}
    known = _known("crl-entry")
    for entry in source:
        reason = x509.ReasonFlags.unspecified.value
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason.value
            elif isinstance(extension.value, x509.CertificateIssuer):
                raise _indirect()
            elif extension.critical and extension.oid.dotted_string not in known:
                raise _unknown()
        revoked[entry.serial_number] = reason
    return revoked


def _scope(value: x509.IssuingDistributionPoint, issuer: x509.Name) -> CrlScope:
    if value.indirect_crl:
        raise _indirect()
    points: frozenset[str] | None = None
    if value.full_name is not None:
        points = frozenset(map(point_text, value.full_name))
    elif value.relative_name is not None:
        points = frozenset({relative_point_text(value.relative_name, issuer)})
    return CrlScope(
        only_user=value.only_contains_user_certs,
        only_ca=value.only_contains_ca_certs,
        only_attribute=value.only_contains_attribute_certs,
        reasons=ALL_REASONS if value.only_some_reasons is None else value.only_some_reasons,
        points=points,
    )


def point_text(name: x509.GeneralName) -> str:
    """A distribution point's name as a text that is equal exactly when the names are."""
    if isinstance(name, x509.DirectoryName):
        return f"directory:{sorted_name(comparable(name.value))}"
    return f"{type(name).__name__}:{name.value}"


def relative_point_text(relative: x509.RelativeDistinguishedName, issuer: x509.Name) -> str:
    """The same for a name relative to the CRL issuer's."""
    return point_text(x509.DirectoryName(x509.Name([*issuer.rdns, relative])))


def sorted_name(name: ComparableName) -> str:
    """A comparable name as one text, the same in every process."""
    return repr([sorted((kind, str(value)) for kind, value in rdn) for rdn in name])


def check_crl(
    crl: Crl,
    signer: x509.Certificate,
    *,
    now: datetime,
    stored: Crl | None = None,
    skew: timedelta = SKEW,
) -> Finding | None:
    """Whether a CRL may be believed and may replace the stored one; ``None`` when it may.

    An expired CRL passes: it says who was revoked, and its age is judged where it is used.

    Args:
        crl: the new CRL.
        signer: the certificate whose key is said to have signed it. That the signer is the issuer
            of the certificates in question, or chains to the same anchor, is the user's to check.
        now: the moment to judge at.
        stored: the last good CRL of the same series.
        skew: how far in the future thisUpdate may lie.
    """
    return (
        _check_signer(crl, signer)
        or _check_signature(crl, signer)
        or _check_time(crl, now=now, skew=skew)
        or (_check_rollback(crl, stored) if stored is not None else None)
    )


def _check_signer(crl: Crl, signer: x509.Certificate) -> Finding | None:
    try:
        own_id = subject_key_id(signer)
        named = comparable(signer.subject) == crl.issuer
        signs = _may_sign(signer)
    except UNDECODABLE:
        return Finding(code="crl-signer-refused", sentence="A CRL's signer cannot be decoded.")
    if not named or (None not in (own_id, crl.issuer_key_id) and own_id != crl.issuer_key_id):
        return Finding(
            code="crl-issuer-mismatch", sentence="A CRL was issued by another CA or another key."
        )
    if not signs:
        return Finding(
            code="crl-signer-refused", sentence="A CRL's signer is not allowed to sign CRLs."
        )
    return check_key(signer)


def _may_sign(signer: x509.Certificate) -> bool:
    try:
        return signer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _check_signature(crl: Crl, signer: x509.Certificate) -> Finding | None:
    broken = Finding(code="crl-signature-invalid", sentence="A CRL's signature is wrong.")
    try:
        algorithm = crl.source.signature_hash_algorithm
        if algorithm is None or algorithm.name not in HASHES:
            return Finding(
                code="certificate-hash-refused",
                sentence="A CRL is signed with something other than SHA-256, 384 or 512.",
            )
        valid = crl.source.is_signature_valid(public_key_of(signer))
    except (*UNDECODABLE, TrustError):
        return broken
    return None if valid else broken


def _check_time(crl: Crl, *, now: datetime, skew: timedelta) -> Finding | None:
    if crl.this_update <= now + skew:
        return None
    return Finding(code="crl-future", sentence="A CRL is dated in the future.")


def _check_rollback(crl: Crl, stored: Crl) -> Finding | None:
    if stored.number is not None:
        older = crl.number is None or crl.number < stored.number
        same = crl.number == stored.number
    else:
        older, same = False, crl.number is None
    # OpenSSL takes a lower number when thisUpdate is later (facts pki A6): we do not.
    if older or (same and crl.this_update < stored.this_update):
        return Finding(code="crl-rollback", sentence="A CRL is older than the one we have.")
    return None


def newest(crls: Sequence[Crl]) -> Crl:
    """The newest of CRLs of one series."""
    return max(crls, key=lambda crl: (-1 if crl.number is None else crl.number, crl.this_update))


def dropped_entries(stored: Crl, new: Crl) -> dict[int, datetime]:
    """What ``stored`` revokes for good and ``new``, of the same series, no longer lists."""
    gone = {
        serial
        for serial, reason in stored.revoked.items()
        if reason not in {ON_HOLD, REMOVED} and serial not in new.revoked
    }
    if not gone:
        return {}
    return {
        e.serial_number: e.revocation_date_utc for e in stored.source if e.serial_number in gone
    }


def _unknown() -> TrustError:
    return TrustError(
        "crl-extension-unknown", "A CRL has a critical extension that we do not know."
    )


def _indirect() -> TrustError:
    return TrustError("crl-indirect", "A CRL speaks for certificates of other issuers.")


@lru_cache
def _known(table: str) -> frozenset[str]:
    text = resources.files("trust").joinpath("data/extensions.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)[table].values())
