"""A patient's disclosures, read from the log: one report, for a page, a file or a command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, distinct, func, select

from directory.model import Organization, PostalAddress
from directory.store import DirectoryStore
from node.governance.accounting import Accounting
from node.governance.disclosure_duties import suspended_peers
from node.governance.disclosures import Accounted, Fact, Named, Recipient, account
from node.ledger import leaf
from node.ledger.aged_out import aged_out
from node.ledger.find import PAGE_LIMIT, Entry, LedgerFilter, find
from node.ledger.private import LedgerKey, unseal
from node.ledger.show import erasures_of
from node.model import PatientId
from node.storage.tables import ENTRY, ERASURE, PRIVATE

MOST_ENTRIES: Final = 20_000
"""Entries about one patient that a report reads; beyond it says that it is not whole."""

_BATCH: Final = 500
_FOUND_BY: Final = frozenset({"patient", "query"})
"""The private groups that a patient is found by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be said to a patient, and what cannot be.

    Attributes:
        since: of the period; ``until`` is just after its end.
        full: whether the disclosures that are not owed are listed as well.
        erased: entries of the period, about anybody, whose person was erased: whether they were
            about this patient nobody can tell.
        dropped_before: entries that began earlier are gone, their time was over.
        cut: whether there are more entries than ``MOST_ENTRIES``.
        suspended: disclosures kept out as an authority asked; for staff to know, in no file.
    """

    patient: PatientId
    own_name: str
    own_id: str
    since: datetime
    until: datetime
    made: datetime
    by: str
    full: bool
    rules: Accounting
    found: Accounted
    erased: int
    dropped_before: datetime | None
    cut: bool
    suspended: int = 0

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the report may lack, in sentences."""
        said = []
        if self.erased:
            said.append(
                "Entries of this period that lost the name of their patient by order: "
                f"{self.erased}. Whether any was about this patient cannot be told any more."
            )
        listed = (*self.found.disclosures, *self.found.excluded)
        gone = sum(bool(each.erased) for each in listed)
        if gone:
            said.append(
                f"Disclosures whose documents or other details were erased by order: {gone}."
            )
        if self.dropped_before is not None and self.dropped_before > self.since:
            said.append(
                f"Entries from before {self.dropped_before:%-d %B %Y} were dropped when their time "
                "of retention was over."
            )
        if self.cut:
            said.append(
                f"There are more than {MOST_ENTRIES} entries; the oldest are not in this report."
            )
        return tuple(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is to be about, and who asked for it."""

    patient: PatientId
    since: datetime
    until: datetime
    full: bool
    by: str
    made: datetime


class Disclosures:
    """Makes reports from the log of a node."""

    def __init__(
        self,
        engine: Engine,
        key: LedgerKey,
        directory: DirectoryStore,
        rules: Accounting,
        *,
        own_name: str,
        own_id: str,
    ) -> None:
        """``own_name`` and ``own_id`` (HCID) are of this node."""
        self._engine = engine
        self._key = key
        self._directory = directory
        self.rules = rules
        self._own_name = own_name
        self._own_id = own_id

    def report(self, asked: Asked) -> Report:
        """The report; nothing is written.

        Raises:
            OurFault: ``ledger-private-unreadable``: a private part does not open.
        """
        chosen = LedgerFilter(
            kind="exchange", patient=asked.patient, since=asked.since, until=asked.until
        )
        entries, cut = self._entries(chosen)
        gone = aged_out(self._engine)
        with self._engine.connect() as connection:
            facts = list(self._facts(connection, entries))
            erased = _erased(connection, asked.since, asked.until)
            token = self._key.patient_token(asked.patient)
            kept = suspended_peers(connection, token, now=asked.made)
        erased -= sum(bool(fact.erased & _FOUND_BY) for fact in facts)
        shown = [fact for fact in facts if fact.text("peer") not in kept]
        return Report(
            patient=asked.patient,
            own_name=self._own_name,
            own_id=self._own_id,
            since=asked.since,
            until=asked.until,
            made=asked.made,
            by=asked.by,
            full=asked.full,
            rules=self.rules,
            found=account(shown, self.rules, named_by(self._directory)),
            erased=erased,
            dropped_before=None if gone is None else gone.before,
            cut=cut,
            suspended=len(facts) - len(shown),
        )

    def _entries(self, chosen: LedgerFilter) -> tuple[list[Entry], bool]:
        entries: list[Entry] = []
        after = None
        while len(entries) < MOST_ENTRIES:
            page = find(self._engine, chosen, key=self._key, limit=PAGE_LIMIT, after=after)
            entries.extend(page.entries)
            after = page.following
            if after is None:
                return entries, False
        return entries, True

    def _facts(self, connection: Connection, entries: list[Entry]) -> Iterator[Fact]:
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            seqs = [entry.seq for entry in batch]
            query = select(PRIVATE.c.seq, PRIVATE.c.docs).where(PRIVATE.c.seq.in_(seqs))
            docs = {row.seq: row.docs for row in connection.execute(query)}
            erased = erasures_of(connection, seqs)
            for entry in batch:
                blob = docs.get(entry.seq)
                parts = frozenset(part for part in leaf.GROUPS if (entry.seq, part) in erased)
                yield Fact(
                    seq=entry.seq,
                    time=entry.time,
                    fields=entry.fields,
                    docs=unseal(self._key, entry.entry_id, "docs", blob).value if blob else None,
                    erased=parts,
                )


def _erased(connection: Connection, since: datetime, until: datetime) -> int:
    """How many entries of a period lost what their patient is found by."""
    query = (
        select(func.count(distinct(ERASURE.c.target)))
        .join(ENTRY, ENTRY.c.seq == ERASURE.c.target)
        .where(
            ERASURE.c.part.in_(_FOUND_BY),
            ENTRY.c.t >= leaf.milliseconds(since),
            ENTRY.c.t < leaf.milliseconds(until),
        )
    )
    return int(connection.execute(query).scalar_one())


def named_by(directory: DirectoryStore) -> Named:
    """Who a recipient is, as the directory says today; each is looked up once."""
    known: dict[tuple[str | None, str | None], Recipient] = {}

    def named(organization_id: str | None, hcid: str | None) -> Recipient:
        ids = (organization_id, hcid)
        if ids not in known:
            found = directory.by_id(organization_id) if organization_id else None
            if found is None and hcid:
                found = next(iter(directory.by_home_community_id(hcid)), None)
            known[ids] = _recipient(found, organization_id, hcid)
        return known[ids]

    return named


def _recipient(
    found: Organization | None, organization_id: str | None, hcid: str | None
) -> Recipient:
    if found is None:
        return Recipient(
            name=organization_id or hcid or "An organisation that the log does not name",
            home_community_id=hcid,
            organization_id=organization_id,
        )
    address = next((text for each in found.addresses if (text := _postal(each))), None)
    return Recipient(
        name=found.name, home_community_id=hcid, organization_id=organization_id, address=address
    )


def _postal(address: PostalAddress) -> str:
    place = " ".join(each for each in (address.state, address.postal_code) if each)
    parts = (*address.lines, address.city, place, address.country)
    return ", ".join(each for each in parts if each) or (address.text or "")
