"""FHIR in the reader: a document's narrative in the closed form, all else as a plain list."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from node.console.reader.document_pdf import to_pdf
from node.console.reader.marking import finder
from node.console.reader.narrative_html import NarrativeHtml
from node.console.reader.provenance import Provenance
from node.wire.reader.document import (
    PrintedPatient,
    ReadableDocument,
    Section,
    SectionState,
    Unreadable,
    texts,
)
from node.wire.reader.limits import ReaderLimits
from node.wire.reader.read import read

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
ANN = {
    "resourceType": "Patient", "id": "ann", "birthDate": "1961-03-02", "gender": "female",
    "name": [{"family": "Sample", "given": ["Ann", "B"]}], "deceasedBoolean": False,
}  # fmt: skip
METOPROLOL = {
    "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
    "medicationCodeableConcept": {"text": "Metoprolol 25 mg"}, "authoredOn": "2026-11-02",
    "requester": {"reference": "Practitioner/ida"},
    "dosageInstruction": [{"sequence": 1, "text": "twice a day"}],
}  # fmt: skip
IDA = {"resourceType": "Practitioner", "id": "ida", "name": [{"text": "Ida Sample, MD"}]}
PRESSURE = {
    "resourceType": "Observation", "id": "bp", "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "BP"}]},
    "effectiveDateTime": "2026-11-03T10:00:00-06:00",
    "component": [
        {"code": {"text": "Systolic"}, "valueQuantity": {"value": 120.50, "unit": "mmHg"}},
        {"code": {"text": "Diastolic"}, "valueQuantity": {"value": 80, "unit": "mmHg"}},
    ],
}  # fmt: skip


def bundle(*resources: Any, type_: str = "collection", **more: Any) -> bytes:
    entries = [
        {"fullUrl": f"https://x.example/fhir/{each['resourceType']}/{each.get('id')}",
         "resource": each}
        for each in resources
    ]  # fmt: skip
    return json.dumps({"resourceType": "Bundle", "type": type_, "entry": entries, **more}).encode()


def composition(*sections: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Composition", "id": "c", "status": "final", "title": "Discharge summary",
        "date": "2026-11-19T09:12:00Z", "subject": {"reference": "Patient/ann"},
        "author": [{"reference": "https://x.example/fhir/Practitioner/ida"}],
        "custodian": {"display": "Tamsin Vale"}, "section": list(sections), **more,
    }  # fmt: skip


def said(title: str, inner: str, code: str = "10160-0", **more: Any) -> dict[str, Any]:
    return {
        "title": title, "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "text": {"status": "additional", "div": f"<div {XHTML}>{inner}</div>"}, **more,
    }  # fmt: skip


def opened(data: bytes) -> ReadableDocument:
    found = read(data)
    assert isinstance(found, ReadableDocument), found
    return found


def page_of(section: Section) -> str:
    writer = NarrativeHtml(finder(None), lambda number: f"/p/{number}")
    return str(writer.section("T", section.content))


def rows(section: Section) -> list[list[str]]:
    body = html.fragment_fromstring(page_of(section))
    return [[" ".join(cell.itertext()) for cell in row] for row in body.findall(".//tbody/tr")]


# --- documents --------------------------------------------------------------------------------


def test_a_document_has_its_head_and_its_sections_with_the_authors_narrative() -> None:
    document = opened(
        bundle(
            composition(
                said("Medications", "<p>Keep <b>metoprolol</b>&nbsp;&gt; 25&#160;mg</p>"
                     "<table><thead><tr><th>Drug</th></tr></thead><tbody><tr><td>Metoprolol</td>"
                     "</tr><tr><td>Aspirin</td></tr></tbody></table>"),
                {"title": "Course", "section": [said("Plan", "<ul><li>Rest</li></ul>", "x")]},
                {"title": "Allergies", "code": {"coding": [{"code": "48765-2"}]}},
                {"title": "Vitals", "entry": [{"reference": "Observation/bp"},
                                              {"reference": "Observation/none"}]},
            ),
            ANN, IDA, PRESSURE, {**ANN, "id": "other"}, type_="document",
        )
    )  # fmt: skip
    assert document.title == "Discharge summary"
    assert document.patients == (
        PrintedPatient(name="Ann B Sample", birth_date="19610302", sex="female"),
    )
    assert document.authors == ("Ida Sample, MD",)
    assert (document.custodian, document.created) == ("Tamsin Vale", "20261119091200")
    assert [(s.title, s.group, s.level, s.count, s.state.value) for s in document.sections] == [
        ("Medications", "medications", 1, 2, "narrative"),
        ("Course", "other", 1, None, "narrative"),
        ("Plan", "other", 2, 1, "narrative"),
        ("Allergies", "allergies", 1, None, "empty"),
        ("Vitals", "other", 1, 1, "entries"),
    ]
    page = page_of(document.sections[0])
    assert "Keep <strong>metoprolol</strong>\xa0&gt; 25\xa0mg" in page
    assert '<th scope="col">Drug</th>' in page
    assert rows(document.sections[4]) == [
        ["BP", "Systolic: 120.5 mmHg, Diastolic: 80 mmHg", "2026-11-03 16:00 UTC", "", "final"]
    ]
    assert document.content_hash is None  # too few words to be the same as others


def test_links_inside_a_narrative_lead_to_their_place_and_no_other_does() -> None:
    inner = (
        '<a href="#x">see</a><p id="x">here</p><a href="https://evil.example/">out</a>'
        '<a href="#none">lost</a><a href="javascript:alert(1)">js</a>'
    )
    document = opened(
        bundle(composition(said("A", inner), said("B", inner)), ANN, type_="document")
    )
    first, second = map(page_of, document.sections)
    assert '<a href="#n1">see</a>' in first
    assert '<span id="n1">' in first
    assert '<a href="#n2">see</a>' in second  # ids are of the page
    assert not re.search("evil|javascript", first + second)
    assert document.left_out.links == 4
    assert document.left_out.unresolved == 2


HOSTILE = [
    "<script>alert(1)</script>seen",
    "<style>@import 'https://evil.example'</style>seen",
    '<p onclick="alert(1)" style="background:url(https://evil.example)">seen</p>',
    '<img src="https://evil.example/x.png" onerror="alert(1)"/>seen',
    '<iframe src="https://evil.example"></iframe>seen',
    '<form action="https://evil.example"><input name="x"/></form>seen',
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><text>seen</text></svg>',
    "<p>&lt;script&gt;alert(2)&lt;/script&gt; seen</p>",
    "<p>se\u202een \u200bseen</p>",
    '<object data="x"><p>alert(1)</p></object>seen',
]


@pytest.mark.parametrize("inner", HOSTILE)
def test_nothing_active_of_a_narrative_reaches_the_page(inner: str) -> None:
    document = opened(bundle(composition(said("A", inner)), ANN, type_="document"))
    page = page_of(document.sections[0])
    tree = html.fragment_fromstring(page, create_parent="div")
    allowed = {"div", "span", "p", "strong", "table", "tbody", "tr", "td", "br"}
    assert {e.tag for e in tree.iter()} <= allowed
    assert {name for e in tree.iter() for name in e.attrib} <= {"class", "id"}
    assert "evil" not in page
    assert "alert(1)" not in page
    assert "seen" in "".join(tree.itertext())
    assert "\u202e" not in page


@pytest.mark.parametrize(
    "div",
    ["<div>open", "<!DOCTYPE div [<!ENTITY a 'b'>]><div>&a;</div>", 7, None, "",
     f"<div {XHTML}>{'<p>' * 5000}{'</p>' * 5000}</div>"],
)  # fmt: skip
def test_a_damaged_narrative_is_counted_and_the_entries_are_listed(div: object) -> None:
    section = {"title": "A", "text": {"div": div}, "entry": [{"reference": "Observation/bp"}]}
    document = opened(bundle(composition(section), ANN, PRESSURE, type_="document"))
    (only,) = document.sections
    if only.state is not SectionState.TOO_LARGE:
        assert rows(only)[0][0] == "BP"
    assert document.left_out.damaged == (div is not None and only.state is SectionState.ENTRIES)


# --- listings ---------------------------------------------------------------------------------


def test_other_bundles_are_a_list_that_says_what_when_who() -> None:
    document = opened(bundle(ANN, PRESSURE, METOPROLOL, IDA, {"resourceType": "RiskAssessment"}))
    assert document.title == "Collection of 5 resources"
    assert [(s.title, s.count) for s in document.sections] == [
        ("Medications ordered", 1), ("Results and observations", 1), ("Patients", 1),
        ("Practitioners", 1), ("Risk assessment", 1),
    ]  # fmt: skip
    assert rows(document.sections[0]) == [
        ["Metoprolol 25 mg", "twice a day", "2026-11-02", "Ida Sample, MD", "active, order"]
    ]
    assert all(s.state is SectionState.ENTRIES for s in document.sections)
    assert document.patients[0].name == "Ann B Sample"


def test_what_is_not_so_says_so_and_digits_are_the_authors() -> None:
    refused = {**METOPROLOL, "doNotPerform": True}
    gone = {**ANN, "deceasedDateTime": "2026-01-02"}
    del gone["deceasedBoolean"]
    refuted = {
        "resourceType": "Condition", "code": {"text": "Asthma"},
        "verificationStatus": {"coding": [{"code": "refuted"}]},
    }  # fmt: skip
    data = bundle(refused, gone, refuted, PRESSURE).replace(b"120.5", b"120.50")
    document = opened(data)
    by_title = {s.title: rows(s)[0] for s in document.sections}
    assert "NOT to be done" in by_title["Medications ordered"][4]
    assert by_title["Patients"][4] == "deceased 2026-01-02"
    assert by_title["Problems"][4] == "refuted"
    assert "Systolic: 120.50 mmHg" in by_title["Results and observations"][1]


def test_the_newest_stand_first_and_one_resource_shows_its_own_text() -> None:
    older = {**PRESSURE, "effectiveDateTime": "2020", "code": {"text": "Old"}}
    newest = [each[0] for each in rows(opened(bundle(older, PRESSURE)).sections[0])]
    assert newest == ["BP", "Old"]
    alone = {**PRESSURE, "text": {"div": f"<div {XHTML}>Pressure was <b>fine</b></div>"}}
    document = opened(json.dumps(alone).encode())
    assert [s.title for s in document.sections] == ["Text", "Results and observations"]
    assert "Pressure was <strong>fine</strong>" in page_of(document.sections[0])


def test_a_list_has_no_mark_up_of_the_peers_and_its_limits() -> None:
    evil = {**PRESSURE, "code": {"text": "<img src=x onerror=alert(1)>\u202e"}}
    page = page_of(opened(bundle(evil)).sections[0])
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "\u202e" not in page
    many = bundle(*[PRESSURE] * 30)
    few = read(many, limits=ReaderLimits(nodes=100))
    assert isinstance(few, ReadableDocument)
    assert few.sections[0].state is SectionState.TOO_LARGE
    assert few.left_out.large == 1
    large = read(many, limits=ReaderLimits(body_bytes=100))
    assert isinstance(large, Unreadable)


@pytest.mark.parametrize(
    "data",
    [
        b'{"resourceType":"Bundle","entry":' + b"[" * 100_000,
        b'{"resourceType": 7}', b'{"a": "resourceType"}', b'{"resourceType":"Bundle"',
    ],
)  # fmt: skip
def test_what_is_no_fhir_is_plain_text(data: bytes) -> None:
    document = opened(data)
    assert document.body is not None
    assert document.body.media_type == "text/plain"


ODD = [None, 7, "x", [], {}, [[]], [None], {"reference": 7}, {"coding": 7}, {"coding": [7]}, True]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_any_shape_of_any_element_opens(odd: object) -> None:
    for resource in (ANN, PRESSURE, METOPROLOL, composition(said("A", "x"))):
        for name in resource.keys() - {"resourceType"}:
            changed = {**resource, name: odd}
            for type_ in ("document", "collection"):
                opened(bundle(changed, IDA, type_=type_))
    for name in ("entry", "type", "timestamp", "author"):
        opened(json.dumps({"resourceType": "Bundle", name: odd}).encode())
    opened(bundle(composition({"title": odd, "code": odd, "text": odd, "entry": odd,
                               "section": odd}), type_="document"))  # fmt: skip


def test_a_bundle_of_nothing_says_so() -> None:
    document = opened(bundle())
    assert document.problem is not None


# --- the shared data --------------------------------------------------------------------------


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.name.endswith(".json") else None
            if stream is not None:
                yield member.name, stream.read()


@pytest.mark.shared
def test_every_synthea_bundle_opens_and_every_resource_of_it_is_listed(shared_data: Path) -> None:
    total = 0
    for archive in sorted((shared_data / "fhir/synthea").glob("*smart*.tar.gz")):
        for name, data in list(members(archive))[:12]:
            document = opened(data)
            entries = json.loads(data)["entry"]
            assert sum(s.count or 0 for s in document.sections) == len(entries), name
            assert len(document.patients) == 1
            assert document.left_out.large == 0
            total += len(entries)
            for section in document.sections:
                assert all(row[0] for row in rows(section)), (name, section.title)
    assert total > 2500


@pytest.mark.shared
def test_the_documents_of_the_guides_show_what_their_narrative_says(shared_data: Path) -> None:
    shown = 0
    for archive in sorted((shared_data / "fhir/ig").glob("*examples.tar.gz")):
        for name, data in members(archive):
            content = json.loads(data) if b'"resourceType"' in data else {}
            if content.get("resourceType") != "Bundle" or content.get("type") != "document":
                continue
            document = opened(data)
            sections = content["entry"][0]["resource"]["section"]
            assert len(document.sections) == len(sections)
            for section, source in zip(document.sections, sections, strict=True):
                words = html.fragment_fromstring(source["text"]["div"]).text_content().split()
                said_here = "".join(texts(section.content)).split()
                assert "".join(said_here) == "".join(words), name
                shown += 1
    assert shown > 0


def test_a_fhir_document_is_printed() -> None:
    origin = Provenance(
        organization="Vale", home="2.999.1", authors=(), custodian=None, created="", visit="",
        fetched="", zone="UTC", sha256="0", patients=(), printed_by="Ida", node="Lake",
    )  # fmt: skip
    made = to_pdf(opened(bundle(PRESSURE)), "T", origin, made=datetime(2026, 11, 28, tzinfo=UTC))
    assert made.startswith(b"%PDF")
