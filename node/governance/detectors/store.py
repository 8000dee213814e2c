"""How each detector is set, and what is suppressed.

Each change of a setting and each suppression is a row and an entry of the log, in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, func, insert, select, update

from node.errors import OurFault
from node.governance.detector_tables import CHANGE, SUPPRESSION
from node.governance.detectors.catalogue import Detector, State, detectors
from node.governance.detectors.flags import Flag, at, standing
from node.governance.detectors.model import DAY
from node.governance.detectors.trying import require_try
from node.ledger import leaf
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import write_fact
from node.storage.engine import IMMEDIATE

REASON_LENGTH: Final = 20
"""Characters that the reason of a change has at least, as that of a resolved case."""

LONGEST_SUPPRESSION: Final = 366
"""Days."""

_MOST: Final = 200
_LONGEST_REASON: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a detector is set now."""

    detector: Detector
    state: State
    limits: Mapping[str, float]

    @property
    def changed(self) -> dict[str, float]:
        """The limits that are not the shipped ones."""
        shipped = self.detector.limits
        return {name: v for name, v in self.limits.items() if v != shipped[name].value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a setting, as its row has it; the reason is in the entry."""

    detector: str
    t: datetime
    who: str
    state: State
    limits: Mapping[str, float]
    entry: int


def settings(engine: Engine) -> dict[str, Setting]:
    """How each detector is set, in the order of the table."""
    newest = select(func.max(CHANGE.c.id)).group_by(CHANGE.c.detector)
    with engine.connect() as connection:
        rows = connection.execute(select(CHANGE).where(CHANGE.c.id.in_(newest))).mappings().all()
    changed = {row["detector"]: row for row in rows}
    return {code: _setting(each, changed.get(code)) for code, each in detectors().items()}


def _setting(detector: Detector, row: RowMapping | None) -> Setting:
    limits = {name: limit.value for name, limit in detector.limits.items()}
    if row is None:
        return Setting(detector=detector, state=detector.state, limits=limits)
    # a limit that a later version does not have any more counts for nothing
    own = {name: v for name, v in orjson.loads(row["limits"]).items() if name in limits}
    return Setting(detector=detector, state=State(row["state"]), limits={**limits, **own})


def checked(detector: Detector, wanted: Mapping[str, float]) -> dict[str, float]:
    """Limits to be set.

    Raises:
        OurFault: ``detector-limit-invalid`` for one that there is not, or out of its bounds.
    """
    for name, value in wanted.items():
        limit = detector.limits.get(name)
        if limit is None:
            raise OurFault("detector-limit-invalid", f"{detector.id} has no limit {name[:40]!r}.")
        if not math.isfinite(value) or not limit.least <= value <= limit.most:
            raise OurFault(
                "detector-limit-invalid",
                f"{detector.id}: {name} is from {limit.least:g} to {limit.most:g}.",
            )
    return dict(wanted)


class Detectors:
    """Writes settings and suppressions. Usable from several threads."""

    def __init__(self, engine: Engine, key: LedgerKey, *, own: str) -> None:
        """``own`` is our HCID."""
        self.engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._own = own

    def set(
        self,
        code: str,
        author: Author,
        *,
        login: str,
        state: State | None,
        limits: Mapping[str, float],
        reason: str,
        now: datetime,
    ) -> Setting:
        """Change a detector's state or limits.

        Raises:
            OurFault: ``detector-unknown``, ``detector-limit-invalid``, ``detector-reason-short``,
                ``detector-untried`` where it is switched on without a back-test;
                as ``write_fact``. Nothing is changed then.
        """
        detector = known(code)
        reason = _reason(reason)
        wanted = checked(detector, limits)
        former = settings(self.engine)[code]
        if state is State.ON and former.state is not State.ON:
            require_try(self.engine, self._key, detector, {**former.limits, **wanted}, now=now)
        with self._immediate.begin() as connection:
            lock_log(connection)
            before = settings(self.engine)[code]  # nobody else changes it while the log is locked
            after = Setting(
                detector=detector,
                state=state or before.state,
                limits={**before.limits, **wanted},
            )
            change = TrustChange(
                act="detector-set",
                role=f"detector-{code}",
                reason=after.state.value,
                version=detector.version,
                private={"reason": reason, "before": _plain(before), "after": _plain(after)},
            )
            receipt, _ = write_fact(
                connection, self._key, change, author=author, own=self._own, now=now
            )
            connection.execute(
                insert(CHANGE).values(
                    id=next_id(connection, CHANGE.c.id),
                    detector=code,
                    t=leaf.milliseconds(now),
                    who=login,
                    state=after.state.value,
                    limits=orjson.dumps(after.changed).decode(),
                    entry=receipt.seq,
                )
            )
        return after

    def suppress(
        self, flag: Flag, author: Author, *, login: str, days: int, reason: str, now: datetime
    ) -> int:
        """Let flags like this one make no case for so many days; the number of the row.

        Raises:
            OurFault: ``detector-suppression-invalid``, ``detector-reason-short``, and as
                ``write_fact``.
        """
        reason = _reason(reason)
        if not 1 <= days <= LONGEST_SUPPRESSION:
            raise OurFault(
                "detector-suppression-invalid",
                f"Flags are kept out for 1 to {LONGEST_SUPPRESSION} days.",
            )
        t = leaf.milliseconds(now)
        until = t + days * DAY
        with self._immediate.begin() as connection:
            lock_log(connection)
            receipt = self._fact(
                connection,
                TrustChange(
                    act="detector-suppress",
                    role=f"detector-{flag.detector}",
                    home_community_id=flag.about if flag.subject == "peer" else None,
                    counts={"first": flag.first},
                    private={"reason": reason, "about": flag.about, "until": until},
                ),
                author,
                now,
            )
            number = next_id(connection, SUPPRESSION.c.id)
            connection.execute(
                insert(SUPPRESSION).values(
                    id=number,
                    detector=flag.detector,
                    subject=flag.subject,
                    about=flag.about,
                    t=t,
                    until=until,
                    who=login,
                    entry=receipt,
                )
            )
        return number

    def end(self, number: int, author: Author, *, now: datetime) -> bool:
        """End a suppression early; ``False`` when there is none that stands."""
        t = leaf.milliseconds(now)
        with self._immediate.begin() as connection:
            lock_log(connection)
            chosen = (SUPPRESSION.c.id == number) & standing(t)
            row = connection.execute(select(SUPPRESSION).where(chosen)).mappings().first()
            if row is None:
                return False
            change = TrustChange(
                act="detector-unsuppress",
                role=f"detector-{row['detector']}",
                home_community_id=row["about"] if row["subject"] == "peer" else None,
                private={"about": row["about"], "entry": row["entry"]},
            )
            self._fact(connection, change, author, now)
            connection.execute(
                update(SUPPRESSION).where(SUPPRESSION.c.id == number).values(ended=t)
            )
        return True

    def _fact(
        self, connection: Connection, change: TrustChange, author: Author, now: datetime
    ) -> int:
        receipt, _ = write_fact(
            connection, self._key, change, author=author, own=self._own, now=now
        )
        return receipt.seq


def known(code: str) -> Detector:
    """A detector by its id.

    Raises:
        OurFault: ``detector-unknown``.
    """
    found = detectors().get(code)
    if found is None:
        raise OurFault("detector-unknown", f"There is no detector {code[:16]!r}.")
    return found


def next_id(connection: Connection, column: ColumnElement[int]) -> int:
    """The next number of a table that only grows; in a transaction under the log's lock."""
    return int(connection.execute(select(func.max(column))).scalar() or 0) + 1


def history(engine: Engine, code: str) -> tuple[Change, ...]:
    """The changes of one detector, newest first."""
    query = select(CHANGE).where(CHANGE.c.detector == code).order_by(CHANGE.c.id.desc())
    with engine.connect() as connection:
        rows = connection.execute(query.limit(_MOST)).mappings().all()
    return tuple(
        Change(
            detector=code,
            t=at(row["t"]),
            who=row["who"],
            state=State(row["state"]),
            limits=orjson.loads(row["limits"]),
            entry=row["entry"],
        )
        for row in rows
    )


def _plain(setting: Setting) -> dict[str, object]:
    return {"state": setting.state.value, "limits": dict(setting.limits)}


def _reason(text: str) -> str:
    text = text.strip()
    if len(text) < REASON_LENGTH:
        raise OurFault(
            "detector-reason-short",
            f"Write at least {REASON_LENGTH} characters why; this has {len(text)}.",
        )
    return text[:_LONGEST_REASON]
