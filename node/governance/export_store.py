"""Exports in the database: each step is a change of its row and an entry of the log, together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.engine import RowMapping

from node.governance.case_model import Refusal
from node.governance.export_model import OPEN, Ask, Job, Source, State, of_kind
from node.governance.export_tables import EXPORT
from node.governance.two_person import TwoPerson
from node.governance.two_person_model import Request, Who
from node.ledger import leaf
from node.ledger.export_file import Mark
from node.ledger.filter_text import format_filter
from node.ledger.find import count, newest
from node.ledger.hold import lock_log
from node.ledger.private import LedgerKey
from node.ledger.trust_change import Author, TrustChange
from node.ledger.trust_log import NODE, write_fact
from node.storage.engine import IMMEDIATE

VERB: Final = "export"
MOST_OPEN: Final = 5
"""Exports of one person that may be under way."""

MOST_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings: see ``node.settings_exports``."""

    second_person_above: int = 10_000
    keep: timedelta = timedelta(days=7)
    most_rows: int = 5_000_000


class ExportStore:
    """Usable from several threads. The schema must be migrated before."""

    def __init__(
        self, engine: Engine, key: LedgerKey, two: TwoPerson, rules: Rules, *, own: str
    ) -> None:
        """``own`` is our HCID."""
        self._engine = engine
        self._immediate = engine.execution_options(**{IMMEDIATE: True})
        self._key = key
        self._two = two
        self._own = own
        self.rules = rules

    def rows_of(self, ask: Ask) -> int:
        """How many entries there are now; one more than the limit when there are more."""
        chosen = of_kind(ask.source, ask.chosen)
        return count(self._engine, chosen, key=self._key, limit=self.rules.most_rows + 1).number

    def needs_second(self, ask: Ask, rows: int) -> bool:
        """Whether an export waits for a second person."""
        return ask.reveals and rows > self.rules.second_person_above

    def ask(self, ask: Ask, who: Who, *, text: str, now: datetime) -> Job | Refusal:
        """Ask for an export; it is queued, or waits for a second person.

        Raises:
            OurFault: when the log cannot take the entry; nothing is asked then.
        """
        rows = self.rows_of(ask)
        if rows > self.rules.most_rows:
            return Refusal(
                code="too-many-rows",
                sentence=f"An export has at most {self.rules.most_rows:,} rows. Narrow the filter.",
            )
        if not rows:
            return Refusal(code="no-rows", sentence="No entry fits, so there is nothing to export.")
        second = self.needs_second(ask, rows)
        with self._immediate.begin() as connection:
            lock_log(connection)
            mine = select(func.count()).where(
                EXPORT.c.asker == who.login, EXPORT.c.state.in_([each.value for each in OPEN])
            )
            if (connection.execute(mine).scalar() or 0) >= MOST_OPEN:
                return Refusal(
                    code="too-many",
                    sentence=f"{MOST_OPEN} exports of yours are under way. Cancel one, or wait.",
                )
            last = connection.execute(select(func.max(EXPORT.c.id))).scalar() or 0
            values: dict[str, Any] = {
                "id": last + 1,
                "kind": ask.source.value,
                "filter": format_filter(ask.chosen),
                "format": ask.format,
                "tokens": ask.tokens,
                "asker": who.login,
                "asked": leaf.milliseconds(now),
                "bound": newest(self._engine),
                "rows": rows,
                "state": (State.WAITING if second else State.QUEUED).value,
                "request": None,
                "written": 0,
                "seen": None,
                "until": None,
                "size": None,
                "sha256": None,
                "downloads": 0,
                "reason": None,
            }
            job = _job(values)
            if second:
                asked = self._two.request(
                    VERB,
                    job.what,
                    who,
                    text=text,
                    about=str(job.id),
                    now=now,
                    within=connection,
                )
                if isinstance(asked, Refusal):
                    return asked
                values["request"] = asked.number
            connection.execute(insert(EXPORT).values(values))
            self._note(connection, "ask", _job(values), who.author, now=now, private=dict(job.what))
        return _job(values)

    def approve(
        self, number: int, who: Who, *, digest: bytes, now: datetime
    ) -> Job | Refusal | None:
        """Let an export begin, as the second person.

        Raises:
            OurFault: as ``ask``.
        """
        job = self.read(number)
        if job is None or job.request is None:
            return None
        ruled = self._two.approve(job.request, who, digest=digest, now=now)
        # one that was approved by a process that ended then has still to be let begin
        again = isinstance(ruled, Refusal) and ruled.code == "request-approved"
        if not isinstance(ruled, Request) and not again:
            self._follow(ruled, now)
            return ruled
        with self._immediate.begin() as connection:
            taken = self._two.take(
                job.request, VERB, job.what, who=who.author, now=now, within=connection
            )
            if isinstance(taken, Request):
                _set(connection, job.id, State.WAITING, state=State.QUEUED.value)
        return self.read(number) if isinstance(taken, Request) else taken

    def refuse(self, number: int, who: Who, *, text: str, now: datetime) -> Job | Refusal | None:
        """Refuse an export, as the second person. Raises as ``ask``."""
        job = self.read(number)
        if job is None or job.request is None:
            return None
        ruled = self._two.refuse(job.request, who, text=text, now=now)
        if not isinstance(ruled, Request):
            self._follow(ruled, now)
            return ruled
        with self._immediate.begin() as connection:
            _set(connection, job.id, State.WAITING, state=State.REFUSED.value, reason="refused")
        return self.read(number)

    def cancel(self, number: int, who: Who, *, now: datetime) -> Job | Refusal | None:
        """Stop an export, as who asked for it; a writer that is at work notices, and cleans up.

        Raises:
            OurFault: as ``ask``.
        """
        job = self.read(number)
        if job is None:
            return None
        if job.asker != who.login:
            return Refusal(code="not-yours", sentence="Only who asked for an export cancels it.")
        if job.state not in OPEN:
            return Refusal(code="not-open", sentence="This export is not under way any more.")
        if job.state is State.WAITING and job.request is not None:
            self._two.withdraw(job.request, who, now=now)
        with self._immediate.begin() as connection:
            lock_log(connection)
            values = {"state": State.CANCELLED.value, "reason": "cancelled"}
            if not _set(connection, job.id, *OPEN, **values):
                return Refusal(code="not-open", sentence="This export has just ended.")
            self._note(
                connection, "cancel", job, who.author, now=now, private={"written": job.written}
            )
        return self.read(number)

    def downloaded(self, job: Job, author: Author, *, now: datetime) -> None:
        """Write down that a file leaves. Raises as ``ask``: it must not leave then."""
        with self._immediate.begin() as connection:
            lock_log(connection)
            more = {"downloads": EXPORT.c.downloads + 1}
            connection.execute(update(EXPORT).where(EXPORT.c.id == job.id).values(more))
            self._note(connection, "download", job, author, now=now)

    # --- for the writer -------------------------------------------------------------------------

    def begin(self, number: int, *, now: datetime) -> Job | None:
        """Take a queued export to write it; ``None`` when it waits no more."""
        with self._immediate.begin() as connection:
            values = {"state": State.RUNNING.value, "seen": leaf.milliseconds(now)}
            taken = _set(connection, number, State.QUEUED, **values)
        return self.read(number) if taken else None

    def reached(self, number: int, written: int, *, now: datetime) -> bool:
        """Say how far the file is; ``False`` when it is not wanted any more."""
        with self._immediate.begin() as connection:
            values = {"written": written, "seen": leaf.milliseconds(now)}
            return _set(connection, number, State.RUNNING, **values)

    def finish(self, job: Job, mark: Mark, *, now: datetime) -> bool:
        """Say that the file is whole; ``False`` when it is not wanted any more.

        Raises:
            OurFault: when the log cannot take the entry; nothing is said then.
        """
        with self._immediate.begin() as connection:
            lock_log(connection)
            values = {
                "state": State.DONE.value,
                "written": mark.entries,
                "size": mark.size,
                "sha256": bytes.fromhex(mark.sha256),
                "until": leaf.milliseconds(now + self.rules.keep),
            }
            if not _set(connection, job.id, State.RUNNING, **values):
                return False
            self._note(connection, "done", job, NODE, now=now, mark=mark)
        return True

    def fail(self, job: Job, reason: str, *, now: datetime) -> bool:
        """Say that there will be no file, and why by a code; ``False`` when it was over before."""
        with self._immediate.begin() as connection:
            lock_log(connection)
            values = {"state": State.FAILED.value, "reason": reason}
            if not _set(connection, job.id, State.QUEUED, State.RUNNING, **values):
                return False
            self._note(connection, "fail", job, NODE, now=now, private={"reason": reason})
        return True

    def deleted(self, job: Job, *, now: datetime) -> bool:
        """Say that the file was deleted, its time being over."""
        with self._immediate.begin() as connection:
            lock_log(connection)
            if not _set(connection, job.id, State.DONE, state=State.GONE.value):
                return False
            self._note(connection, "delete", job, NODE, now=now)
        return True

    # --- reading --------------------------------------------------------------------------------

    def read(self, number: int) -> Job | None:
        """An export by its number."""
        with self._engine.connect() as connection:
            row = connection.execute(select(EXPORT).where(EXPORT.c.id == number)).mappings().first()
        return _job(row) if row else None

    def listed(self, *, before: int | None = None) -> tuple[Job, ...]:
        """The newest exports, or those before a number."""
        query = select(EXPORT).order_by(EXPORT.c.id.desc()).limit(MOST_SHOWN)
        if before is not None:
            query = query.where(EXPORT.c.id < before)
        return self._jobs(query)

    def in_state(self, *states: State, until: datetime | None = None) -> tuple[Job, ...]:
        """Exports in some states, the oldest first; only those with an end up to ``until``."""
        query = select(EXPORT).where(EXPORT.c.state.in_([state.value for state in states]))
        if until is not None:
            query = query.where(EXPORT.c.until <= leaf.milliseconds(until))
        return self._jobs(query.order_by(EXPORT.c.id).limit(MOST_SHOWN))

    def lapse(self, *, now: datetime) -> None:
        """Let exports go that waited for a second person until their request's time was over."""
        self._two.expire(now=now)
        for job in self.in_state(State.WAITING):
            request = self._two.read(job.request) if job.request is not None else None
            if request is None or request.until <= now:
                with self._immediate.begin() as connection:
                    values = {"state": State.REFUSED.value, "reason": "expired"}
                    _set(connection, job.id, State.WAITING, **values)

    def _follow(self, ruled: Refusal | None, now: datetime) -> None:
        """An export whose request just turned out to be too old goes with it."""
        if isinstance(ruled, Refusal) and ruled.code == "request-expired":
            self.lapse(now=now)

    def _jobs(self, query: Any) -> tuple[Job, ...]:
        with self._engine.connect() as connection:
            return tuple(_job(row) for row in connection.execute(query).mappings())

    def _note(
        self,
        connection: Connection,
        act: str,
        job: Job,
        author: Author,
        *,
        now: datetime,
        private: Mapping[str, object] | None = None,
        mark: Mark | None = None,
    ) -> None:
        digest = mark.sha256 if mark else job.sha256.hex() if job.sha256 else None
        counts = {"entries": mark.entries if mark else job.rows}
        change = TrustChange(
            act=f"export-{act}",
            thing=digest,
            counts=counts,
            private={"export": job.id, **(private or {})},
        )
        write_fact(connection, self._key, change, author=author, own=self._own, now=now)


def _set(connection: Connection, number: int, *states: State, **values: object) -> bool:
    """Change a row that is in one of some states; whether it was."""
    where = (EXPORT.c.id == number, EXPORT.c.state.in_([state.value for state in states]))
    return bool(connection.execute(update(EXPORT).where(*where).values(values)).rowcount)


def _job(row: RowMapping | Mapping[str, Any]) -> Job:
    values = {name: row[name] for name in Job.__slots__ if name in row}
    sha = values["sha256"]
    return Job(
        **values
        | {
            "source": Source(row["kind"]),
            "state": State(row["state"]),
            "asked": _instant(row["asked"]),
            "seen": _instant(row["seen"]),
            "until": _instant(row["until"]),
            "sha256": None if sha is None else bytes(sha),
        }
    )


def _instant(t: int | None) -> Any:
    return None if t is None else datetime.fromtimestamp(t / 1000, UTC)
