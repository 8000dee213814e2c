"""A note on a refusal, confirmed by a second person: used once, with the approval."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, update

from node.governance.case_model import Refusal
from node.governance.tables import DENIAL
from node.governance.two_person import TwoPerson
from node.governance.two_person_model import Request
from node.ledger.leaf import milliseconds
from node.ledger.trust_change import Author
from node.storage.engine import IMMEDIATE

CONFIRM: Final = "denial-confirm"


def confirm_denial(
    engine: Engine,
    two: TwoPerson,
    number: int,
    what: Mapping[str, Any],
    *,
    author: Author,
    login: str,
    now: datetime,
) -> Request | Refusal | None:
    """Mark the note that ``what`` names (``entry``, ``note``) as confirmed, by its approval.

    Raises:
        OurFault: when the log cannot take the entry; nothing is changed then.
    """
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        ruled = two.take(number, CONFIRM, what, who=author, now=now, within=connection)
        if isinstance(ruled, Request):
            connection.execute(
                update(DENIAL)
                .where(DENIAL.c.seq == what["entry"], DENIAL.c.number == what["note"])
                .values(confirmed=milliseconds(now), confirmer=login)
            )
        return ruled
