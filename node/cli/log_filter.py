"""The options that choose entries of the log: the same for every command that does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.ledger.find import LedgerFilter
from node.ledger.leaf import Kind
from node.ledger.trust_change import acts
from node.model import Direction, Outcome, Transaction
from node.wire.identifiers import home_community_id, parse_cx

PeerOption = Annotated[str | None, typer.Option(help="Home community id.")]
KindOption = Annotated[Kind | None, typer.Option(help="What the entries are about.")]
ActOption = Annotated[
    str | None, typer.Option(help="What was changed in our trust, e.g. anchor-add.")
]
TransactionOption = Annotated[Transaction | None, typer.Option(help="ITI-55, ITI-38, ITI-39.")]
OutcomeOption = Annotated[Outcome | None, typer.Option(help="How it ended.")]
DirectionOption = Annotated[Direction | None, typer.Option(help="Which side we were.")]
PurposeOption = Annotated[str | None, typer.Option(help="Exchange purpose code.")]
ReasonOption = Annotated[str | None, typer.Option(help="Reason code.")]
SinceOption = Annotated[datetime | None, typer.Option(help="Begun at or after (UTC).")]
UntilOption = Annotated[datetime | None, typer.Option(help="Begun before (UTC).")]
ExchangeOption = Annotated[str | None, typer.Option(help="Exchange id.")]
MessageOption = Annotated[str | None, typer.Option(help="WS-Addressing message id.")]
PatientOption = Annotated[str | None, typer.Option(help="Patient id, id^^^&oid&ISO.")]
UserOption = Annotated[
    str | None, typer.Option(help="Id of the user who asked, or who changed our trust.")
]
DocumentOption = Annotated[str | None, typer.Option(help="Document unique id.")]


def filter_of(
    *,
    peer: str | None,
    kind: Kind | None,
    act: str | None,
    transaction: Transaction | None,
    outcome: Outcome | None,
    direction: Direction | None,
    purpose: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    exchange: str | None,
    message: str | None,
    patient: str | None,
    user: str | None,
    document: str | None,
) -> LedgerFilter:
    """The filter of the options; an instant without time zone is UTC.

    Raises:
        BadParameter: for an act that there is not.
        WireError: for an id that is none.
    """
    return LedgerFilter(
        peer=home_community_id(peer) if peer else None,
        kind=kind,
        act=_act(act),
        transaction=transaction,
        outcome=outcome,
        direction=direction,
        purpose=purpose,
        reason=reason,
        since=_utc(since),
        until=_utc(until),
        exchange_id=exchange,
        message_id=message,
        patient=parse_cx(patient) if patient else None,
        user=user,
        document=document,
    )


def _act(code: str | None) -> str | None:
    if code is not None and code not in acts():
        raise typer.BadParameter(f"There is no act {code}; there are: {', '.join(acts())}.")
    return code


def _utc(instant: datetime | None) -> datetime | None:
    return instant.replace(tzinfo=UTC) if instant and instant.tzinfo is None else instant
