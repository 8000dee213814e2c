"""The CRLs of a node home: taken in by hand, followed while the node serves, and told about.

``report_crl`` is the one place at which a CRL that was accepted, or that was refused, becomes known
to people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from cryptography import x509

from node.identity import network_anchors
from node.settings import NodeHome
from trust.certificates import fingerprint
from trust.crl import Crl
from trust.crl_intake import TakenCrl, known_authorities, read_crl, take_crl
from trust.crl_store import load_crls
from trust.errors import TrustError
from trust.live_revocation import LiveRevocations

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlEvent:
    """What became of a CRL that was offered: a change of what we trust, or an attempt at one.

    Attributes:
        source: the URL it came from, or ``file``.
        code: ``None`` when it was accepted, else why it was refused (``crl-rollback`` is an alarm:
            somebody serves an old list).
        number, digest: of the CRL, where it could be read.
        anchor: fingerprint of the anchor behind its signer, when it was accepted.
    """

    source: str
    code: str | None = None
    number: int | None = None
    digest: str | None = None
    anchor: str | None = None


def report_crl(event: CrlEvent) -> None:
    """Tell what became of a CRL. Whoever records changes of trust joins here."""
    fields = {
        "address": event.source,
        "version": event.number,
        "digest": event.digest,
        "fingerprint": event.anchor,
    }
    if event.code is None:
        _log.info("crl.accepted", **fields)
    else:
        _log.warning("crl.refused", code=event.code, **fields)


def import_crl(
    home: NodeHome, data: bytes, others: Sequence[x509.Certificate] = (), *, now: datetime
) -> TakenCrl:
    """Takes a CRL from a file, signed by a CA of ours or by one among ``others``.

    Raises:
        TrustError: why it cannot be believed; what was stored stays.
    """
    anchors = [anchor.certificate for anchor in network_anchors(home)]
    crl: Crl | None = None
    try:
        crl = read_crl(data)
        shelf = load_crls(home.crls, anchors, now=now).shelf
        paths = known_authorities(anchors, shelf, others, now=now)
        taken = take_crl(home.crls, crl, paths, others, now=now)
    except TrustError as error:
        report_crl(
            CrlEvent(
                source="file",
                code=error.code,
                number=crl.number if crl else None,
                digest=crl.digest if crl else None,
            )
        )
        raise
    if taken.is_new:
        report_crl(accepted_event("file", taken))
    return taken


def accepted_event(source: str, taken: TakenCrl) -> CrlEvent:
    """The event of a CRL that was accepted."""
    return CrlEvent(
        source=source,
        number=taken.crl.number,
        digest=taken.crl.digest,
        anchor=fingerprint(taken.signer[-1]),
    )


async def follow_crls(
    revocations: LiveRevocations, now: Callable[[], datetime], *, seconds: float
) -> None:
    """Take over what this or another process changed in the folder, until cancelled."""
    _tell_faults(revocations)
    while True:
        await asyncio.sleep(seconds)
        try:
            changed = await asyncio.to_thread(revocations.refresh, now=now())
        except TrustError as error:
            _log.error("crl.folder", code=error.code, sentence=error.sentence)
            continue
        if changed:
            _log.info("crl.in-use", count=len(revocations.shelf))
            _tell_faults(revocations)


def _tell_faults(revocations: LiveRevocations) -> None:
    for fault in revocations.faults:
        _log.error("crl.unusable", code=fault.code, detail=fault.detail, where=fault.where)
