"""What an operator decides about revocation per anchor, and what a decision says.

The decision is a value for the ledger: which CRL or OCSP answer decided, its number and age, under
which policy (facts pki A6 rules 1 and 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trust.crl import Freshness
from trust.key_floor import Finding


class RevocationPolicy(StrEnum):
    """How certificates below an anchor are checked (facts pki A6 rule 1)."""

    REQUIRE_CRL = "require-crl"
    PREFER_CRL_THEN_OCSP = "prefer-crl-then-ocsp"
    SHORT_LIVED_EXEMPT = "short-lived-exempt"
    DIRECTORY_ONLY = "directory-only"


class Unknown(StrEnum):
    """What an unknown or stale status means."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRule:
    """The revocation policy of one anchor.

    Attributes:
        policy: which sources count.
        unknown: whether a certificate without a current status is refused.
        grace: how long after nextUpdate a CRL is stale, not yet expired.
        short_lived: the longest lifetime of a leaf that ``SHORT_LIVED_EXEMPT`` exempts.
    """

    policy: RevocationPolicy = RevocationPolicy.PREFER_CRL_THEN_OCSP
    unknown: Unknown = Unknown.HARD
    grace: timedelta = timedelta(hours=24)
    short_lived: timedelta = timedelta(days=7)


class State(StrEnum):
    """What is known of one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    EXEMPT = "exempt"


class Source(StrEnum):
    """Who says so."""

    CRL = "crl"
    OCSP = "ocsp"
    DIRECTORY = "directory"
    POLICY = "policy"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """What is known of one certificate of the path.

    Attributes:
        key: SPKI SHA-256 of the certificate.
        serial: its serial number, hex.
        state: what is known.
        source: who says so.
        reason_code: why the state is not good, or why it is doubtful; ``None`` when all is well.
        freshness: of the CRL that decided, or ``None``.
        crl_number: CRLNumber of it, the delta's where one was used.
        crl_digest: SHA-256 of its DER, hex.
        age: how long ago the deciding CRL or OCSP answer was made.
        until: the first moment at which the status must be asked again, or ``None``.
    """

    key: str
    serial: str
    state: State
    source: Source
    reason_code: str | None = None
    freshness: Freshness | None = None
    crl_number: int | None = None
    crl_digest: str | None = None
    age: timedelta | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationDecision:
    """Whether a path may be relied on as far as revocation goes.

    Attributes:
        ok: the answer.
        reason_code: ``None``, or why not (a row of ``data/errors.toml``).
        sentence: what a person reads.
        policy: the policy that decided.
        unknown: whether it was hard or soft.
        certificates: the status of each, leaf first, without the anchor.
        warnings: what a soft policy let pass.
        valid_until: the first moment at which the decision must be made anew, or ``None``.
    """

    ok: bool
    reason_code: str | None = None
    sentence: str
    policy: RevocationPolicy
    unknown: Unknown
    certificates: tuple[CertificateStatus, ...] = ()
    warnings: tuple[Finding, ...] = ()
    valid_until: datetime | None = None
