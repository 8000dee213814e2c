"""Whether our own records or the encounters we were told of show care near a day (D04)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import Engine, select

from node.governance.access.patient_marks import identifier_marks
from node.governance.access.tables import ENCOUNTER, PATIENT
from node.ledger.private import LedgerKey
from node.model import Demographics, PatientId
from node.records.blocking import keys_of
from node.records.index import RecordIndex
from node.records.people import stored_key
from node.records.rules import Rules, default_rules
from node.records.tables import DOCUMENT, KEY
from node.records.traits import traits_of

_MOST_DOCUMENTS: Final = 500
_DAY_DIGITS: Final = 8


class OwnCare:
    """Reads record index and encounters; what it found is kept for as long as the object lives."""

    def __init__(
        self, engine: Engine, key: LedgerKey, index: RecordIndex, rules: Rules | None = None
    ) -> None:
        """``index`` is that of this node's own records."""
        self._engine = engine
        self._key = key
        self._index = index
        self._rules = rules or default_rules()
        self._known: dict[str, tuple[date, ...]] = {}

    def any(self) -> bool:
        """Whether there is anything to compare with."""
        with self._engine.connect() as connection:
            return any(
                connection.execute(select(column).limit(1)).first() is not None
                for column in (DOCUMENT.c.entry_uuid, ENCOUNTER.c.id)
            )

    def nearest(self, patients: Sequence[PatientId], t: int) -> int | None:
        """Days between an instant (ms) and the nearest care of a patient by these identifiers."""
        day = datetime.fromtimestamp(t / 1000, UTC).date()
        days = [each for local in self._locals(patients) for each in self._days(local)]
        days += self._encounters(patients)
        return min((abs((day - each).days) for each in days), default=None)

    def _encounters(self, patients: Sequence[PatientId]) -> list[date]:
        """The newest days of encounters of a patient by these identifiers."""
        marks = identifier_marks(self._key, patients)
        query = (
            select(ENCOUNTER.c.last)
            .join(PATIENT, PATIENT.c.encounter_id == ENCOUNTER.c.id)
            .where(PATIENT.c.mark.in_(marks))
            .order_by(ENCOUNTER.c.last.desc())
            .limit(_MOST_DOCUMENTS)
        )
        with self._engine.connect() as connection:
            times = connection.execute(query).scalars().all()
        return [datetime.fromtimestamp(t / 1000, UTC).date() for t in times]

    def _locals(self, patients: Sequence[PatientId]) -> set[str]:
        found = {local for each in patients if (local := self._index.resolve(each))}
        traits = traits_of(Demographics(identifiers=tuple(patients)), self._rules)
        keys = [stored_key(key) for key in keys_of(traits, self._rules)]
        with self._engine.connect() as connection:
            query = select(KEY.c.patient_id).where(KEY.c.key.in_(keys)).limit(100)
            return found | set(connection.execute(query).scalars())

    def _days(self, local: str) -> tuple[date, ...]:
        if local not in self._known:
            held = self._index.of_person(local, limit=_MOST_DOCUMENTS)
            texts = {
                text
                for each in held
                for text in (
                    each.entry.service_start,
                    each.entry.service_stop,
                    each.entry.creation_time,
                )
                if text and len(text) >= _DAY_DIGITS
            }
            self._known[local] = tuple(day for text in texts if (day := _day(text)))
        return self._known[local]


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
