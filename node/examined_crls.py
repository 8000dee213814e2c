"""Checks whether it is known, below each anchor, who is revoked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from node.examined import Examined
from node.identity import network_anchors
from node.ops.health import Status
from node.settings import NodeHome
from trust.anchors import Anchor
from trust.crl import Crl, Freshness
from trust.crl_store import load_crls
from trust.revocation_policy import RevocationPolicy, Unknown

_CHECK = "revocation"


def examine_revocation(home: NodeHome, now: datetime) -> Iterator[Examined]:
    """One finding for each anchor, and one for each stored CRL that cannot be used."""
    anchors = network_anchors(home)
    report = load_crls(home.crls, [anchor.certificate for anchor in anchors], now=now)
    for fault in report.faults:
        yield Examined(
            check=_CHECK,
            status=Status.FAIL,
            sentence=f"{fault.sentence} ({fault.where})",
            next_step=fault.advice,
        )
    for anchor in anchors:
        crls = [a.crl for a in report.shelf if a.signer[-1] == anchor.certificate]
        yield _below(anchor, crls, now)


def _below(anchor: Anchor, crls: Sequence[Crl], now: datetime) -> Examined:
    rule = anchor.revocation
    strict = Status.FAIL if rule.unknown is Unknown.HARD else Status.WARN
    if rule.policy is RevocationPolicy.DIRECTORY_ONLY:
        return _found(Status.OK, f"{anchor.label}: only the network list revokes.")
    late = [crl for crl in crls if crl.freshness(now, rule.grace) is not Freshness.FRESH]
    if late:
        ended = min(crl.next_update for crl in late)
        return _found(
            strict,
            f"{anchor.label}: a CRL should have been renewed on {ended:%Y-%m-%d %H:%M} UTC.",
            "`crl fetch`, or `crl import FILE`; tell the CA when it has no newer one.",
        )
    if crls:
        ends = min(crl.next_update for crl in crls)
        return _found(Status.OK, f"{anchor.label}: CRLs are current until {ends:%Y-%m-%d %H:%M}.")
    passing = "are refused" if rule.unknown is Unknown.HARD else "pass with a warning"
    if rule.policy is RevocationPolicy.REQUIRE_CRL:
        sentence = f"{anchor.label}: there is no CRL; its certificates {passing}."
    else:
        strict = Status.WARN  # OCSP, or a short life, may stand in
        sentence = f"{anchor.label}: there is no CRL; certificates of unknown standing {passing}."
    return _found(
        strict,
        sentence,
        "`crl fetch`, or `crl import FILE`; `anchor set` when the CA has none.",
    )


def _found(status: Status, sentence: str, next_step: str | None = None) -> Examined:
    return Examined(check=_CHECK, status=status, sentence=sentence, next_step=next_step)
