"""The files of a disclosure report: golden CSV bytes and PDF text, and what the log gives them."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pypdf import PdfReader
from sqlalchemy import Engine

from directory.model import Organization, PostalAddress
from directory.store import DirectoryStore
from directory.tables import create_tables
from node.governance.accounting import applied
from node.governance.disclosure_files import make, to_csv
from node.governance.disclosure_pdf import to_pdf
from node.governance.disclosure_reading import Asked, Disclosures, Report, named_by
from node.governance.disclosures import Fact, Recipient, account
from node.ledger.erasure import Eraser, Order
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import LedgerKey
from node.ledger.trust_log import operator
from node.model import Direction, Outcome, PatientId
from tests.bench.organizations import rows_of
from tests.governance.golden import golden, text_of
from tests.governance.test_disclosures import fact
from tests.ledger.records import PATIENT, record

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
NAMES = {
    "org-2": Recipient(
        name="State Health Department", home_community_id="urn:oid:2.999.2",
        organization_id="org-2", address="1 Capitol Square, Springfield, IL 62701, US",
    ),
    "org-3": Recipient(name='=HYPERLINK("x")', organization_id="org-3"),
    "org-4": Recipient(name="Szpital Żeromskiego 医院", organization_id="org-4"),
}  # fmt: skip


def report(*, full: bool = False, facts: tuple[Fact, ...] | None = None) -> Report:
    if facts is None:
        docs = [{"id": f"2.999.5.{n}", "type": "34133-9"} for n in range(3)]
        facts = (
            fact(4, docs=docs),
            fact(5, org="org-3", txn="ITI-38", purpose="T-GOVDTRM", erased=frozenset({"docs"})),
            fact(6, org="org-4", purpose="T-TRTMNT"),
            fact(7, outcome="declined"),
        )
    rules = applied(())
    return Report(
        patient=PatientId(assigning_authority="2.999.71.1", id="MRN-1"), own_name="Lake Hospital",
        own_id="urn:oid:2.999.71", since=rules.first_day(NOW), until=NOW, made=NOW, by="ida",
        full=full, rules=rules, found=account(facts, rules, lambda org, _: NAMES[org or ""]),
        erased=2, dropped_before=datetime(2022, 1, 1, tzinfo=UTC), cut=False,
    )  # fmt: skip


@pytest.mark.parametrize("full", [False, True], ids=["accounting", "full"])
def test_both_files_are_as_they_were(*, full: bool) -> None:
    name = "full" if full else "accounting"
    golden(f"disclosures-{name}.csv", to_csv(report(full=full)))
    golden(f"disclosures-{name}.txt", text_of(to_pdf(report(full=full))).encode())


def test_the_same_report_gives_the_same_bytes() -> None:
    assert to_pdf(report()) == to_pdf(report())
    assert to_csv(report()) == to_csv(report())


def test_a_name_of_somebody_else_is_no_formula_in_a_spreadsheet() -> None:
    assert b"\"'=HYPERLINK" in to_csv(report())


def test_letters_that_the_fonts_lack_lose_their_marks_or_are_a_question_mark() -> None:
    made = report(full=True)
    assert "Szpital Zeromskiego ??" in text_of(to_pdf(made))
    assert "Szpital Żeromskiego 医院" in to_csv(made).decode()


def test_many_disclosures_go_on_over_pages_with_the_head_of_the_table_on_each() -> None:
    data = to_pdf(report(facts=tuple(fact(n) for n in range(80))))
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]
    assert len(pages) > 2
    assert all("Date (UTC)" in page for page in pages)
    assert f"Page {len(pages)} of {len(pages)}" in pages[-1]


def test_the_act_of_making_it_names_the_patient_by_the_token_alone() -> None:
    made = make(report(), "csv", token=b"\x01" * 16)
    assert made.change.private["patient"] == "~" + "01" * 16
    assert made.change.counts == {"entries": 2}
    assert "MRN-1" not in str(made.change)


class World:
    """A log with a patient in it, and a directory."""

    def __init__(self, store: Engine) -> None:
        self.store = store
        self.key = LedgerKey(os.urandom(32))
        create_tables(store)
        self.directory = DirectoryStore(store)

    async def write(self, **more: object) -> int:
        ledger = ExchangeLedger(self.store, self.key)
        changes = {"purpose": "T-PH", "direction": Direction.RESPONDING, "started": NOW} | more
        receipt = await ledger.append(record(**changes))
        ledger.close()
        return receipt.seq

    def report(self, patient: PatientId = PATIENT, **more: object) -> Report:
        asked = Asked(
            patient=patient, since=applied(()).first_day(NOW), until=NOW + timedelta(days=1),
            full=True, by="ida", made=NOW,
        )  # fmt: skip
        made = Disclosures(
            self.store, self.key, self.directory, applied(()), own_name="Lake", own_id="2.999.1"
        )
        return made.report(replace(asked, **more))


@pytest.fixture
def world(store: Engine) -> World:
    return World(store)


async def test_the_log_gives_the_patients_entries_of_the_period_and_no_others(world: World) -> None:
    seq = await world.write()
    await world.write(started=NOW - timedelta(days=6 * 366 + 10))
    await world.write(outcome=Outcome.DECLINED)
    found = world.report().found
    assert [each.seq for each in found.disclosures] == [seq]
    assert found.disclosures[0].items == ("CANARYDOC.1",)
    assert found.nothing == {"asked, and refused": 1}
    nobody = PatientId(assigning_authority="2.999.9", id="nobody")
    assert world.report(nobody).found.disclosures == ()


async def test_what_was_erased_is_said(world: World) -> None:
    await world.write()
    assert world.report().lacks == ()
    eraser = Eraser(world.store, world.key, own="urn:oid:2.999.1", author=operator(),
                    now=lambda: NOW)  # fmt: skip
    order = Order(authority="patient", reason="person-request", parts=("docs",),
                  token=world.key.patient_token(PATIENT))  # fmt: skip
    eraser.run(order)
    made = world.report()
    assert made.found.disclosures[0].items == ()
    assert made.found.disclosures[0].erased == {"docs"}
    assert "erased by order: 1." in made.lacks[0]
    eraser.run(replace(order, parts=()))
    made = world.report()
    assert made.found.disclosures == ()
    assert "lost the name of their patient by order: 1." in made.lacks[0]


def test_the_recipient_is_named_with_the_address_that_the_directory_has(world: World) -> None:
    address = PostalAddress(lines=("1 Main St",), city="Springfield", state="IL",
                            postal_code="62701", country="US")  # fmt: skip
    entry = Organization(id="org-9", name="County Clinic", addresses=(address,),
                         home_community_ids=("urn:oid:2.999.9",))  # fmt: skip
    world.directory.import_rows(rows_of(entry), source="test", now=NOW)
    named = named_by(world.directory)
    for ids in (("org-9", "urn:oid:2.999.9"), (None, "urn:oid:2.999.9")):
        assert named(*ids).name == "County Clinic"
        assert named(*ids).address == "1 Main St, Springfield, IL 62701, US"
    assert named("org-8", None).name == "org-8"
