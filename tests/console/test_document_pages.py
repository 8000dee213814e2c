"""Documents at the console: fetched when opened, entered before shown, held back, sealed."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pypdf import PdfReader

from node.governance.scorecard import tallies
from node.governance.tallying import Tallier
from node.ledger.filter import LedgerFilter
from node.ledger.find import find
from node.ledger.private import load_key
from node.ledger.show import show
from node.model import Author, Code, Transaction
from tests.console.clinic_world import SOMEBODY, THERE, ClinicSite, clinic_site, ended, until
from tests.console.conftest import Browser
from tests.console.test_page_pictures import pdf
from tests.sim.network import SimPeer, document, hcid

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PATIENT = """<recordTarget><patientRole><patient><name><given>{given}</given><family>Sample</family>
</name><birthTime value="19610302"/></patient></patientRole></recordTarget>"""
WORDS = "Admitted with palpitations and breathlessness, controlled on metoprolol. " * 4


def ccda(title: str, *sections: str, given: str = "Juniper") -> bytes:
    inner = "".join(f"<component><section>{each}</section></component>" for each in sections)
    return (
        f'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>{title}</title>'
        f'<effectiveTime value="20261119091200"/>{PATIENT.format(given=given)}'
        "<custodian><assignedCustodian><representedCustodianOrganization><name>Tamsin Vale"
        "</name></representedCustodianOrganization></assignedCustodian></custodian>"
        f"<component><structuredBody>{inner}</structuredBody></component></ClinicalDocument>"
    ).encode()


SUMMARY = ccda(
    "Discharge summary",
    "<code code='48765-2'/><title>Allergies</title><text><table onclick='x()'><tbody>"
    "<tr><td>Penicillin</td></tr></tbody></table></text>",
    f"<title>Course</title><text>{WORDS}<script>alert(1)</script>"
    "<renderMultiMedia referencedObject='M'/></text><entry><observationMedia ID='M'>"
    f"<value representation='B64'>{base64.b64encode(PNG).decode()}</value>"
    "</observationMedia></entry>",
    "<title>Goals</title><text/>",
)
SAME_WORDS = SUMMARY.replace(b"20261119091200", b"20261120101200")
NOTE = ccda("Clinic note", f"<title>Plan</title><text>Keep metoprolol. {WORDS}</text>", given="Ann")
PDF = pdf("Scan: keep metoprolol")


def named(number: int, name: str, content: bytes, title: str, mime: str = "text/xml"):
    return replace(
        document(number, name, content),
        title=title,
        mime_type=mime,
        creation_time="20261119",
        type_code=Code(code="18842-5", scheme="2.16.840.1.113883.6.1", display="Discharge"),
        service_start="20261114",
        service_stop="20261119",
        authors=(Author(institutions=("Vale Clinic^^^^^&1.2&ISO",)),),
    )


def peers() -> tuple[SimPeer, ...]:
    first = {"sum": SUMMARY, "pdf": PDF, "bad": b"<ClinicalDocument", "gone": b"x"}
    second = {"same": SUMMARY, "words": SAME_WORDS, "note": NOTE}
    return (
        SimPeer(number=1, documents=first, says=THERE, loses=frozenset({"gone"}), entries=(
            named(1, "sum", SUMMARY, "Discharge summary"),
            named(1, "pdf", PDF, "Scan", "application/pdf"),
            named(1, "bad", b"<ClinicalDocument", "Broken one"),
            named(1, "gone", b"x", "Lost one"),
        )),
        SimPeer(number=2, documents=second, says=THERE, entries=(
            named(2, "same", SUMMARY, "Discharge summary"),
            replace(named(2, "words", SAME_WORDS, "Discharge summary"), hash=None),
            named(2, "note", NOTE, "Clinic note"),
        )),
        SimPeer(number=3, documents={"held": NOTE}, says=SOMEBODY, entries=(
            named(3, "held", NOTE, "Title of somebody else"),
        )),
    )  # fmt: skip


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClinicSite]:
    with clinic_site(tmp_path_factory.mktemp("documents"), *peers()) as site:
        yield site


@pytest.fixture(scope="module")
def browser(clinic: ClinicSite) -> Browser:
    return clinic.browser("clinician")


@pytest.fixture
def path(clinic: ClinicSite, browser: Browser) -> str:
    """The page of a request of its own."""
    found = clinic.ask(browser)
    ended(browser, found)
    return found


def number(browser: Browser, path: str, title: str, organization: int = 1) -> int:
    page = browser.get(f"{path}/documents?group=organization").text
    name = {1: "Tamsin Vale Hospital", 2: "Ostravane Regional"}[organization]
    part = page.split(f">{name}</th>")[1].split("</tbody>")[0]
    return int(re.search(rf"/documents/(\d+)\">{title}<", part).group(1))


def looked(browser: Browser, path: str, where: str, term: str):
    """The page that comes of looking for something; nothing of it stands in its address."""
    answer = browser.post(path + where, {"form": browser.form(path), "find": term})
    assert answer.status_code == 303
    assert term not in answer.headers["location"]
    return browser.get(answer.headers["location"])


def entries(clinic: ClinicSite, **more) -> list[tuple[str | None, dict]]:
    """Act (or transaction) and private part of the newest entries."""
    key, engine = load_key(clinic.opened.home.path), clinic.opened.engine
    found = []
    for entry in find(engine, LedgerFilter(**more), key=key, limit=30).entries:
        shown = show(engine, entry.seq, key)
        assert shown is not None
        wire = shown.groups["wire"].value if "wire" in shown.groups else {}
        found.append((entry.fields.get("act") or entry.fields.get("txn"), wire))
    return found


def test_the_list_folds_what_is_the_same_and_counts_what_is_held_back(browser, path) -> None:
    page = browser.get(f"{path}/documents").text
    assert "6 to read, 1 copy folded, 1 held back until you say whose they are" in page
    assert "Care of 14 Nov 2026 to 19 Nov 2026" in page
    assert "Ostravane Regional</a> (same file)" in page
    assert "Title of somebody else" not in page
    assert "written at Vale Clinic" in page
    assert "By type" in browser.get(path).text  # on the page of the answers too


def test_a_document_is_fetched_once_and_each_look_is_an_entry_that_came_before(
    clinic, browser, path
) -> None:
    chosen = number(browser, path, "Discharge summary")
    page = browser.get(f"{path}/documents/{chosen}")
    assert page.status_code == 200
    assert "Penicillin" in page.text
    assert "Name and birth date in this document match" in page.text
    assert "1 empty section: Goals." in page.text
    assert "1 element that would run or load something." in page.text
    assert "onclick" not in page.text
    assert "alert(1)" not in page.text
    assert page.headers["cache-control"] == "no-store"
    newest = entries(clinic)[:2]
    assert [act for act, _ in newest] == ["document-view", Transaction.ITI_39.value]
    assert newest[0][1]["document"] == "2.999.1.9^sum"
    assert newest[0][1]["way"] == "page"
    assert len(newest[0][1]["sha256"]) == 64
    again = browser.get(f"{path}/documents/{chosen}?empty=show&rows=dense").text
    assert "table dense" in again
    assert ">Goals<" in again.replace("Goals ", "Goals")
    assert [act for act, _ in entries(clinic)[:2]] == ["document-view", "document-view"]


def test_what_was_opened_is_no_longer_new_and_the_same_words_are_folded(browser, path) -> None:
    before = browser.get(f"{path}/documents").text
    first = number(browser, path, "Discharge summary")
    browser.get(f"{path}/documents/{first}")
    words = number(browser, path, "Discharge summary", 2)
    browser.get(f"{path}/documents/{words}")
    page = browser.get(f"{path}/documents").text
    assert "5 to read, 2 copies folded" in page
    assert "(same content)" in page
    assert page.count("new to you") < before.count("new to you") or "new to you" not in before
    only = browser.get(f"{path}/documents?show=new").text
    assert ">Discharge summary<" not in only


def test_held_back_documents_open_by_no_address(clinic, browser, path) -> None:
    tried = ("", "/original", "/original?as=text", "/pdf", "/body", "/pictures/0")
    calls = len(clinic.peers.calls)
    held = 8
    for way in tried:
        answer = browser.get(f"{path}/documents/{held}{way}")
        assert answer.status_code == 403, way
        assert "held back" in answer.text
        assert "metoprolol" not in answer.text
        assert "Title of somebody else" not in answer.text
    answer = looked(browser, path, f"/documents/{held}", "met")
    assert answer.status_code == 403
    assert len(clinic.peers.calls) == calls  # nobody was asked
    act, wire = entries(clinic)[0]
    assert (act, wire["code"]) == ("document-refuse", "document-held-back")
    found = looked(browser, path, "/find", "metoprolol").text
    assert "Larkhollow" not in found


def test_what_was_opened_closes_when_the_person_says_it_is_somebody_else(
    clinic, browser, path
) -> None:
    page = browser.get(path).text
    address = re.search(r'action="(/records/[^"]+/people/\d+)"', page).group(1)
    browser.post(address, {"form": browser.form(path), "same": "yes"})
    answer = browser.get(f"{path}/documents/8")
    assert answer.status_code == 200
    assert "The name in this document differs from whom you asked about" in answer.text
    browser.post(address, {"form": browser.form(path), "same": "no"})
    answer = browser.get(f"{path}/documents/8")
    assert answer.status_code == 403
    assert "somebody else" in answer.text
    assert "metoprolol" not in browser.get(f"{path}/documents/8/original").text


def test_the_original_is_for_keeping_in_a_sandbox_with_the_type_of_its_bytes(browser, path) -> None:
    chosen = number(browser, path, "Discharge summary")
    kept = browser.get(f"{path}/documents/{chosen}/original")
    assert kept.content == SUMMARY
    assert kept.headers["content-type"] == "text/xml"
    assert re.fullmatch(
        r'attachment; filename="document-[0-9a-f]{12}.xml"', kept.headers["content-disposition"]
    )
    source = browser.get(f"{path}/documents/{chosen}/original?as=text")
    assert source.content == SUMMARY
    assert source.headers["content-type"] == "text/plain; charset=utf-8"
    picture = browser.get(f"{path}/documents/{chosen}/pictures/0")
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert f'src="{path}/documents/{chosen}/pictures/0"' in (
        browser.get(f"{path}/documents/{chosen}").text
    )
    assert browser.get(f"{path}/documents/{chosen}/pictures/1").status_code == 404
    for answer in (kept, source, picture):
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    scan = number(browser, path, "Scan")
    body = browser.get(f"{path}/documents/{scan}/body")
    assert body.content == PDF
    assert body.headers["content-type"] == "application/pdf"
    assert body.headers["content-disposition"].startswith("attachment")


def test_a_pdf_is_shown_as_pictures_of_its_pages_with_their_text(clinic, browser, path) -> None:
    chosen = number(browser, path, "Scan")
    page = looked(browser, path, f"/documents/{chosen}", "METOPROLOL").text
    assert "1 page, drawn by this node as pictures" in page
    assert f'src="{path}/documents/{chosen}/pages/1"' in page
    assert 'alt="Page 1 as a picture; its text follows"' in page
    assert "<details open><summary>Text of page 1, 1 found</summary>" in page
    assert '<mark id="f1">metoprolol</mark>' in page
    picture = browser.get(f"{path}/documents/{chosen}/pages/1")
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert entries(clinic)[0][1]["way"] == "page-picture"
    for bad in ("0", "2", "41", "x"):
        assert browser.get(f"{path}/documents/{chosen}/pages/{bad}").status_code == 404
    summary = number(browser, path, "Discharge summary")
    assert browser.get(f"{path}/documents/{summary}/pages/1").status_code == 404


def test_what_cannot_be_read_says_so_and_offers_the_original(browser, path) -> None:
    chosen = number(browser, path, "Broken one")
    page = browser.get(f"{path}/documents/{chosen}").text
    assert "This document cannot be shown." in page
    assert "not well-formed" in page
    assert browser.get(f"{path}/documents/{chosen}/original").content == b"<ClinicalDocument"


def test_a_document_that_cannot_be_shown_counts_once_for_its_peer(clinic, browser, path) -> None:
    engine, now = clinic.opened.engine, clinic.opened.clock.now()
    for _ in range(2):
        browser.get(f"{path}/documents/{number(browser, path, 'Broken one')}")
    entries = find(engine, LedgerFilter(act="document-unreadable")).entries
    assert {entry.fields["reason"] for entry in entries} == {"xml-malformed"}
    retrieves = [entry.fields["first"] for entry in entries]
    assert len(retrieves) == len(set(retrieves))
    Tallier(engine, load_key(clinic.opened.home.path), days=100).run(now=now)
    marked = find(engine, LedgerFilter(mark="document-unreadable")).entries
    assert {entry.seq for entry in marked} == set(retrieves)
    assert {entry.fields["txn"] for entry in marked} == {Transaction.ITI_39}
    counted = tallies(engine, hcid(1), 7, now=now)
    assert counted.number({"mark": ("document-unreadable",)}) == len(retrieves)


def test_a_document_that_does_not_come_says_whose_side_and_what_next(clinic, browser, path) -> None:
    chosen = number(browser, path, "Lost one")
    answer = browser.get(f"{path}/documents/{chosen}")
    assert answer.status_code == 502
    assert "Tamsin Vale Hospital" in answer.text
    assert "Try again" in answer.text
    assert entries(clinic)[0][0] == "document-refuse"


def test_finding_in_one_and_in_all_puts_no_term_into_an_address(clinic, browser, path) -> None:
    chosen = number(browser, path, "Discharge summary")
    page = looked(browser, path, f"/documents/{chosen}", "METOPROLOL").text
    assert page.count("<mark id=") == 4
    assert '4 found. <a href="#f1">First</a>' in page
    assert "4 found</span></a>" in page  # in the index
    assert "<mark" not in browser.get(f"{path}/documents/{chosen}").text
    short = looked(browser, path, f"/documents/{chosen}", "é").text
    assert "at least two letters" in short
    found = looked(browser, path, "/find", "metoprolol")
    assert found.status_code == 200
    assert "is there 18 times in 5 of 7 documents" in found.text  # one of them in a PDF
    assert f"{path}/documents/{chosen}?marked=1#f1" in found.text
    assert not re.search(r'(href|action)="[^"]*metoprolol', found.text)
    act, wire = entries(clinic, kind="admin")[0]
    assert act == "document-search"
    assert len(wire["sha256"]) == 6
    assert "metoprolol" not in str(wire)


def test_a_slow_organization_holds_no_other_up(tmp_path) -> None:
    with clinic_site(tmp_path, *peers()) as own:  # where nothing was fetched yet
        browser = own.browser("clinician")
        path = own.ask(browser)
        ended(browser, path)
        own.hold(1)
        with ThreadPoolExecutor(1) as apart:
            page = apart.submit(looked, browser, path, "/find", "metoprolol")
            try:
                until(lambda: (Transaction.ITI_39, hcid(2)) in [c[:2] for c in own.peers.calls])
            finally:
                own.let_go()
            assert "is there 18 times" in page.result().text


def test_the_pdf_has_the_source_the_time_and_what_is_missing(browser, path) -> None:
    chosen = number(browser, path, "Discharge summary")
    answer = browser.get(f"{path}/documents/{chosen}/pdf")
    assert answer.headers["content-type"] == "application/pdf"
    words = " ".join(
        " ".join(
            page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages
        ).split()
    )
    for said in (
        "Came from: Tamsin Vale Hospital (2.999.1)",
        "Custodian: Tamsin Vale",
        "Juniper Sample, born 2 Mar 1961",
        "1 empty section: Goals.",
        "It is not the original, and not all that the organization or others may hold",
        "Penicillin",
        "palpitations",
        "Printed by The clinician, Lake Hospital",
    ):
        assert said in words, (said, words)
    assert "alert(1)" not in words


def test_somebody_elses_documents_are_not_there(clinic, browser, path) -> None:
    chosen = number(browser, path, "Discharge summary")
    browser.get(f"{path}/documents/{chosen}")
    reviewer = clinic.browser("reviewer")
    assert reviewer.get(f"{path}/documents/{chosen}").status_code == 403
    for bad in ("0", "99", "x", "-1", "1e3", "9" * 30):
        assert browser.get(f"{path}/documents/{bad}").status_code == 404, bad
    assert browser.get(f"/records/{'x' * 22}/documents/1").status_code == 404


def test_what_is_kept_is_sealed_on_disk_and_goes(clinic, browser, path) -> None:
    chosen = number(browser, path, "Discharge summary")
    browser.get(f"{path}/documents/{chosen}")
    folder = clinic.opened.home.inbox / "console"
    kept = list(folder.iterdir())
    assert kept
    for file in kept:
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"Penicillin" not in file.read_bytes()
        assert b"Sample" not in file.read_bytes()
    clinic_home = clinic.opened.home.path
    for file in clinic_home.rglob("*"):
        if file.is_file() and file.stat().st_size < 10_000_000:
            assert b"Penicillin" not in file.read_bytes(), file.name
