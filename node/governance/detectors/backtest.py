"""Tries a detector on past days: what it would have flagged, day by day, with given limits.

Nothing is written. Flags that it raised in earnest do not count here: each try begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from node.governance.detectors.looking import Looking
from node.governance.detectors.model import DAY, About, Finding, Seen, Subject, Whom
from node.governance.detectors.store import Setting
from node.ledger import leaf
from node.ledger.leaf import Kind
from node.model import Direction
from node.storage.tables import ENTRY, TOKEN

DAYS: Final = 30
MOST_SUBJECTS: Final = 500
"""Peers, or people of ours, that are tried."""

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a detector would have flagged; ``examples`` are the newest, with whom about and when."""

    setting: Setting
    subjects: int
    flags: int
    legs: int
    examples: tuple[tuple[Whom, int, Finding], ...]
    more_subjects: bool = False


def backtest(engine: Engine, looking: Looking, setting: Setting, *, now: datetime) -> Tried:
    """Try a detector on the last ``DAYS`` days, looking at the end of each."""
    at = leaf.milliseconds(now)
    since = at - DAYS * DAY
    with engine.connect() as connection:
        read = _peers if setting.detector.subject is Subject.PEER else _actors
        subjects = read(connection, since)
    legs, flags = 0, 0
    examples: list[tuple[Whom, int, Finding]] = []
    for whom in subjects[:MOST_SUBJECTS]:
        rows = looking.rows(setting, whom, since - setting.detector.days * DAY, at)
        legs += len(rows)
        for day, finding in _days(looking, setting, rows, looking.about(whom, at)):
            flags += 1
            examples.append((whom, day, finding))
    examples.sort(key=lambda each: each[1], reverse=True)
    return Tried(
        setting=setting,
        subjects=min(len(subjects), MOST_SUBJECTS),
        flags=flags,
        legs=legs,
        examples=tuple(examples[:_SHOWN]),
        more_subjects=len(subjects) > MOST_SUBJECTS,
    )


def _days(
    looking: Looking, setting: Setting, rows: list[Seen], about: About
) -> list[tuple[int, Finding]]:
    """What is found at the end of each of the days on which the subject did anything."""
    found: list[tuple[int, Finding]] = []
    last: int | None = None
    since = about.now - DAYS * DAY
    flagged = max((row.seq for row in rows if row.t < since), default=-1)
    ends = {min((row.t // DAY + 1) * DAY, about.now + 1) for row in rows if row.t >= since}
    for end in sorted(ends):
        if last is not None and end - last < setting.detector.quiet * DAY:
            continue
        upto = [row for row in rows if row.t < end]
        known = replace(about, now=end, flagged=flagged)
        for finding in looking.ask(setting, upto, known):
            flagged = max(flagged, *(seq for seq, _ in finding.entries))
            last = end
            found.append((end, finding))
    return found


def _peers(connection: Connection, since: int) -> list[Whom]:
    """The peers with a leg in the days, read along the index by peer."""
    found: list[Whom] = []
    last = ""
    while len(found) <= MOST_SUBJECTS:
        query = select(func.min(ENTRY.c.peer)).where(ENTRY.c.peer > last)
        peer = connection.execute(query).scalar()
        if peer is None:
            break
        last = peer
        newest = select(func.max(ENTRY.c.t)).where(
            ENTRY.c.peer == peer, ENTRY.c.kind == Kind.EXCHANGE.value
        )
        if (connection.execute(newest).scalar() or 0) >= since:
            found.append(Whom(subject=Subject.PEER, about=peer))
    return found


def _actors(connection: Connection, since: int) -> list[Whom]:
    """People of ours who asked in the newest of our legs of the days."""
    newest = (
        select(ENTRY.c.seq)
        .where(ENTRY.c.direction == Direction.INITIATING.value, ENTRY.c.t >= since)
        .order_by(ENTRY.c.t.desc(), ENTRY.c.seq.desc())
        .limit(100 * MOST_SUBJECTS)
        .subquery()
    )
    query = (
        select(TOKEN.c.token)
        .distinct()
        .select_from(newest)
        .join(TOKEN, TOKEN.c.seq == newest.c.seq)
        .where(TOKEN.c.part == "who")
        .limit(MOST_SUBJECTS + 1)
    )
    tokens = sorted(connection.execute(query).scalars())
    return [Whom(subject=Subject.ACTOR, about=token.hex()) for token in tokens]
