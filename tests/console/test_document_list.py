"""The list of documents, what is kept of them and for how long: without a page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from node.console.clinic.document_list import Grouping, Known, document_list, key_of
from node.console.clinic.opening import Documents
from node.console.clinic.request import ClinicRequest
from node.console.clinic.requests import Requests
from node.console.reader.dates import day_words, moment_words, span_words
from node.console.reader.listing import size_words, summary
from node.console.reader.view import same_patient
from node.exchange.network_ports import KnownAt
from node.model import Code, DocumentEntry, ExchangeId
from node.peers.sealed_inbox import SealedInbox
from node.records.likeness import likeness
from node.wire.reader.document import PrintedPatient
from tests.sim.clock import START, SimClock
from tests.sim.network import ALICE, document, entry, hcid, patient, principal

NOTE = Code(code="11506-3", scheme="2.16.840.1.113883.6.1", display="Progress note")


def named(number: int, name: str, content: bytes = b"", **more) -> DocumentEntry:
    return replace(document(number, name, content), **more)


def asked(*entries: DocumentEntry, weak: bool = False) -> ClinicRequest:
    requests = Requests(likeness)
    token = requests.begin("ada", principal(), ALICE, [entry(1), entry(2)],
                           exchange_id=ExchangeId("e"), now=START)  # fmt: skip
    for number in (1, 2):
        said = replace(ALICE, birth_date="19330101") if weak and number == 2 else ALICE
        known = KnownAt(home_community_id=hcid(number), patient_id=patient(number),
                        demographics=said)  # fmt: skip
        mine = [(e, None) for e in entries if e.home_community_id == hcid(number)]

        def change(record, at=number, known=known, mine=mine) -> None:
            record.knows(entry(at), known)
            record.named(entry(at), patient(at), mine)

        requests.change(token, change)
    found = requests.of("ada", token, START)
    assert found is not None
    return found


def rows(request: ClinicRequest, grouping: Grouping = Grouping.VISIT, **more):
    listed = document_list(request, grouping, **{"known": {}, "seen": frozenset(), **more})
    return listed, [row for group in listed.groups for row in group.rows]


def test_groups_are_visits_newest_first_and_types_and_organizations_by_name() -> None:
    request = asked(
        named(1, "a", b"1", creation_time="20260101"),
        named(1, "b", b"2", service_start="20261114", service_stop="20261119", type_code=NOTE,
              creation_time="20261120"),
        named(2, "c", b"3", service_start="20261114", service_stop="20261119",
              creation_time="20261118"),
        named(2, "d", b"4"),
    )  # fmt: skip
    titles = [group.title for group in rows(request)[0].groups]
    assert titles == ["Care of 14 Nov 2026 to 19 Nov 2026", "Written 1 Jan 2026", "Without a date"]
    assert [group.title for group in rows(request, Grouping.TYPE)[0].groups] == [
        "Progress note",
        "Without a type",
    ]
    by_organization = rows(request, Grouping.ORGANIZATION)[0].groups
    assert [(g.title, len(g.rows)) for g in by_organization] == [("Peer 1", 2), ("Peer 2", 2)]


def test_the_same_file_is_one_row_by_what_the_organizations_say_or_by_its_bytes() -> None:
    request = asked(
        named(1, "a", b"same"), named(2, "b", b"same"), named(2, "c", b"other", hash=None)
    )
    listed, found = rows(request)
    assert (listed.rows, listed.folded) == (2, 1)
    assert [(a.organization, a.same_file) for row in found for a in row.also] == [("Peer 2", True)]
    known = {n: Known(sha256="ab", size=4) for n in (1, 3)}
    listed, found = rows(request, known=known)
    assert (listed.rows, listed.folded) == (1, 2)
    assert [a.same_file for a in found[0].also] == [True, True]


def test_the_same_words_in_another_file_are_said_to_be_that() -> None:
    request = asked(named(1, "a", b"1"), named(2, "b", b"22"))
    known = {
        1: Known(sha256="aa", size=1, content_hash="w"),
        2: Known(sha256="bb", size=2, content_hash="w"),
    }
    _, (row,) = rows(request, known=known)
    assert [(a.number, a.same_file) for a in row.also] == [(2, False)]
    known[2] = Known(sha256="bb", size=2, content_hash=None)
    assert rows(request, known=known)[0].rows == 2


def test_an_empty_hash_folds_nothing() -> None:
    request = asked(named(1, "a", hash=None, size=None), named(2, "b", hash=None, size=None))
    assert rows(request)[0].rows == 2


def test_new_is_what_this_person_has_not_opened_in_any_copy() -> None:
    request = asked(named(1, "a", b"same"), named(2, "b", b"same"), named(2, "c", b"x"))
    seen = frozenset({key_of(request.documents[1])})
    listed, found = rows(request, seen=seen)
    assert listed.new == 1
    assert [row.is_new for row in found if row.also] == [False]
    listed, found = rows(request, seen=seen, only_new=True)
    assert (listed.rows, listed.left_out) == (1, 1)


def test_held_back_ones_are_counted_and_never_listed() -> None:
    request = asked(named(1, "a", b"1"), named(2, "b", b"2", title="Of whom?"), weak=True)
    listed, found = rows(request)
    assert (listed.rows, listed.held_back, listed.hidden) == (1, 1, 0)
    assert [row.title for row in found] == ["Document a"]


def test_titles_have_nothing_that_nobody_sees() -> None:
    request = asked(named(1, "a", title="Dis\u202echarge\u200b  note"))
    assert rows(request)[1][0].title == "Discharge note"


def test_forty_documents_are_one_list() -> None:
    request = asked(*(named(1, f"d{n}", b"%d" % n, creation_time="20260101") for n in range(40)))
    listed, found = rows(request)
    assert (listed.rows, len(found), len(listed.groups)) == (40, 40, 1)


async def test_what_is_kept_goes_when_its_time_is_over(tmp_path) -> None:
    clock = SimClock()
    inbox = SealedInbox(tmp_path, max_bytes=1000, max_all_bytes=1000, left_before=START)
    documents = Documents(
        initiator=None, broker=None, inbox=inbox, clock=clock, keep=timedelta(minutes=30)
    )
    base = asked(named(1, "a", b"1"))
    fhir = b'{"content":[{"attachment":{"contentType":"text/plain","data":"aGVsbG8="}}]}'
    inline = replace(base.documents[0], resource=fhir,
                     entry=replace(base.documents[0].entry, unique_id="x.0"))  # fmt: skip
    request = replace(base, documents=(inline,))
    assert await documents.fetch(request, [1]) == {}
    kept = documents.kept(request, 1)
    assert kept is not None
    assert documents.data(kept) == b"hello"
    assert len(list(tmp_path.iterdir())) == 1
    clock.advance(29 * 60)
    assert documents.kept(request, 1) is not None
    clock.advance(2 * 60)
    assert documents.kept(request, 1) is None
    assert list(tmp_path.iterdir()) == []
    link = replace(inline, resource=b'{"content":[{"attachment":{"url":"Binary/1"}}]}')
    failed = await documents.fetch(replace(base, documents=(link,)), [1])
    assert failed[1].code == "document-not-fetched"
    for content, code in (
        (b'{"data":"aGVsbG8=","hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}', "fhir-attachment-changed"),
        (b'{"data":"aGVsbG8=","size":4}', "fhir-attachment-changed"),
        (b'{"data":"!"}', "fhir-attachment-empty"),
        (b"{}", "document-without-content"),
    ):
        wrong = replace(inline, resource=b'{"content":[{"attachment":%b}]}' % content)
        failed = await documents.fetch(replace(base, documents=(wrong,)), [1])
        assert failed[1].code == code
        assert list(tmp_path.iterdir()) == []
    failed = await documents.fetch(base, [1, 9])
    assert {n: each.code for n, each in failed.items()} == {
        1: "document-not-fetched",
        9: "document-not-listed",
    }


def test_the_patient_of_a_document_is_compared_with_whom_was_asked_about() -> None:
    def agrees(name: str | None, birth: str | None) -> bool:
        return same_patient(ALICE, (PrintedPatient(name=name, birth_date=birth),)).agrees

    assert agrees("Mrs Alice M Canary Newman", "19700501")
    assert agrees("CANARY-NEWMAN ALICE", "19700501")
    assert not agrees("Alice Newman", "19700501")
    assert not agrees("Alice Canary-Newman", "19700502")
    assert not agrees("Alice Canary-Newman", None)
    assert not agrees(None, "19700501")
    assert not same_patient(ALICE, ()).agrees
    assert not same_patient(ALICE, (PrintedPatient(name="a"), PrintedPatient(name="b"))).agrees


@pytest.mark.parametrize(
    ("digits", "words"),
    [("20261119141200", "19 Nov 2026"), ("202611", "Nov 2026"), ("2026", "2026"), (None, "")],
)
def test_days_have_the_precision_that_was_stated(digits: str | None, words: str) -> None:
    assert day_words(digits) == words


def test_times_and_sizes_in_words() -> None:
    assert moment_words("20261119141205", lambda at: at) == "19 Nov 2026, 14:12"
    assert moment_words("20261119", lambda at: at) == "19 Nov 2026"
    assert span_words("20261114", None) == "14 Nov 2026"
    assert span_words("202611140800", "20261114") == "14 Nov 2026"
    assert [size_words(n) for n in (None, 0, 999, 12_345, 2_100_000)] == [
        "", "1 kB", "1 kB", "12 kB", "2.1 MB",
    ]  # fmt: skip
    assert (
        summary(8, 1, 3, 0) == "8 to read, 1 copy folded, 3 held back until you say whose they are"
    )
