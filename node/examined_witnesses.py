"""Looks, for ``doctor``, at who witnesses our log, and since when somebody does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from node.examined import Examined
from node.ledger.witness_peers import WitnessPeer, needed, witness_peers
from node.ops.health import Status

_CHECK = "log witnesses"


def examine_witnesses(engine: Engine, quorum: int) -> Iterator[Examined]:
    """One row: enough witnesses sign, too few do, or there are none."""
    peers = [peer for peer in witness_peers(engine) if peer.is_witness]
    signing = [peer for peer in peers if peer.cosigned is not None and peer.failing is None]
    wanted = needed(peers, quorum)
    if not peers:
        yield Examined(
            check=_CHECK,
            status=Status.WARN,
            sentence="Nobody witnesses our log: an old copy of this home would not be noticed.",
            next_step="Agree with a peer, then both `log witness add PEER`.",
        )
    elif len(signing) == len(peers):
        oldest = min(peer.cosigned or 0 for peer in signing)
        yield Examined(
            check=_CHECK,
            status=Status.OK,
            sentence=f"All {len(peers)} sign what they are asked to; the last at {_time(oldest)}.",
        )
    else:
        enough = len(signing) >= wanted
        yield Examined(
            check=_CHECK,
            status=Status.WARN if enough or not _failing(peers) else Status.FAIL,
            sentence=f"{len(signing)} of {len(peers)} sign, {wanted} must: {_who(peers)}.",
            next_step="`log witness list`; then ask the operators of those that do not sign.",
        )


def _failing(peers: Sequence[WitnessPeer]) -> list[WitnessPeer]:
    return [peer for peer in peers if peer.failing is not None]


def _who(peers: Sequence[WitnessPeer]) -> str:
    """Who does not sign, since when and why."""
    said = [
        f"{peer.organization_id} has not since {_time(peer.failing or 0)} ({peer.failure})"
        for peer in _failing(peers)
    ]
    said += [
        f"{peer.organization_id} was not asked yet"
        for peer in peers
        if peer.failing is None and peer.cosigned is None
    ]
    return ", ".join(said)


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"
