"""What an operator decides about revocation per anchor, and what a decision says.

The decision is a value for the ledger: which CRL or OCSP answer decided, its number and age, under
which policy (facts pki A6 rules 1 and 7).
"""

from __future__ import annotations

from collections.abc import Mapping
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


ANCHOR_DEFAULT = RevocationRule(unknown=Unknown.SOFT)
"""The rule of an anchor whose owner chose none.

A CA that publishes neither CRL nor OCSP answers stays usable, and each binding says in its warnings
and its evidence that nobody vouched for the certificate; what is revoked is refused all the same.
"""

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_MAX_GRACE_HOURS = 24 * 30
_MAX_SHORT_DAYS = 90


def rule_lines(rule: RevocationRule) -> list[str]:
    """A rule as the lines of a TOML table ``revocation``, the last of a file."""
    lines = [
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value:g}"
        for key, value in rule_table(rule).items()
    ]
    return ["[revocation]", *lines]


def rule_table(rule: RevocationRule) -> dict[str, str | float]:
    """A rule as such a table's values."""
    return {
        "policy": rule.policy.value,
        "unknown": rule.unknown.value,
        "grace-hours": rule.grace / _HOUR,
        "short-lived-days": rule.short_lived / _DAY,
    }


def read_rule(table: Mapping[str, object] | None) -> RevocationRule:
    """The rule of such a table; what it leaves out is as in ``ANCHOR_DEFAULT``.

    Raises:
        ValueError: for an unknown key or a value that does not fit.
    """
    given = dict(table or {})
    default = ANCHOR_DEFAULT
    rule = RevocationRule(
        policy=RevocationPolicy(str(given.pop("policy", default.policy))),
        unknown=Unknown(str(given.pop("unknown", default.unknown))),
        grace=_HOUR * _number(given.pop("grace-hours", 24), _MAX_GRACE_HOURS),
        short_lived=_DAY * _number(given.pop("short-lived-days", 7), _MAX_SHORT_DAYS),
    )
    if given:
        raise ValueError("unknown key in a revocation rule")
    return rule


_FROM_LAX = (
    RevocationPolicy.DIRECTORY_ONLY,
    RevocationPolicy.SHORT_LIVED_EXEMPT,
    RevocationPolicy.PREFER_CRL_THEN_OCSP,
    RevocationPolicy.REQUIRE_CRL,
)


def stricter(one: RevocationRule, other: RevocationRule) -> RevocationRule:
    """The rule that demands whatever either of two rules demands."""
    return RevocationRule(
        policy=max(one.policy, other.policy, key=_FROM_LAX.index),
        unknown=Unknown.HARD if Unknown.HARD in (one.unknown, other.unknown) else Unknown.SOFT,
        grace=min(one.grace, other.grace),
        short_lived=min(one.short_lived, other.short_lived),
    )


def _number(value: object, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"not a number from 0 to {most}")
    return float(value)


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
