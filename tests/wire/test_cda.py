"""CDA headers → metadata: every document at hand, the edge cases by name, and the rules."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import NodeError, WireError
from node.wire.cda import read_document
from node.wire.document_facts import Note
from node.wire.xml import escape

HEADER = """<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">
<templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/>
{id}{code}<title> Summary  of
care </title>{time}<confidentialityCode code="R" codeSystem="2.16.840.1.113883.5.25"/>
<languageCode code="en-US"/>{patient}{rest}</ClinicalDocument>"""
PATIENT = """<recordTarget><patientRole><id root="2.16.840.1.113883.4.1" extension="912-34-5678"/>
<id root="1.2.3" extension="77"/><id root="1.2.4"/>
<addr use="HP"><streetAddressLine>1 Main St</streetAddressLine><city>Salem</city>
<state>OR</state><postalCode>97301</postalCode></addr>
<telecom value="555-777-1234"/><telecom value="tel:"/>
<patient><name use="L"><given>Ana</given><given>M</given><family>Lee</family>
<suffix>Jr</suffix></name>
<administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
<birthTime value="19800102"/></patient></patientRole></recordTarget>"""


def document(**parts: str) -> bytes:
    base = {
        "id": '<id root="1.2.9" extension="a1"/>',
        "code": '<code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/>',
        "time": '<effectiveTime value="20240301233000-0500"/>',
        "patient": PATIENT,
        "rest": "<component><structuredBody/></component>",
    }
    return HEADER.format(**{**base, **parts}).encode()


def test_header_becomes_metadata():
    facts = read_document(document())
    assert facts.patient.names[0].family == "Lee"
    assert facts.patient.names[0].given == ("Ana", "M")
    assert facts.patient.names[0].suffix == "Jr"
    assert [i.id for i in facts.patient.identifiers] == ["912-34-5678", "77"]
    assert facts.source_patient_id is not None
    assert facts.source_patient_id.cx == "77^^^&1.2.3&ISO"
    assert [t.value for t in facts.patient.telecoms] == ["tel:555-777-1234"]
    assert facts.unique_id == "1.2.9^a1"
    assert facts.title == "Summary of care"
    assert facts.creation_time == "20240302043000"
    assert facts.type_code is not None
    assert facts.type_code.display == "Summarization of episode note"
    assert facts.format_code is not None
    assert facts.format_code.code == "urn:hl7-org:sdwg:ccda-structuredBody:2.1"
    assert [c.code for c in facts.confidentiality] == ["R"]
    assert facts.notes == (Note.SERVICE_TIME_FROM_CREATION,)


@pytest.mark.parametrize("value", ["20241345", "19800230", "soon", "80", "198001021", ""])
def test_an_invalid_birth_date_stays_absent_and_is_noted(value: str):
    facts = read_document(document(patient=PATIENT.replace("19800102", value)))
    assert facts.patient.birth_date is None
    assert (Note.BIRTH_DATE_INVALID in facts.notes) == bool(value)


def test_a_birth_time_with_offset_keeps_its_calendar_date():
    facts = read_document(document(patient=PATIENT.replace("19800102", "19800102003000+0900")))
    assert facts.patient.birth_date == "19800102"


def test_an_invalid_creation_time_is_never_now():
    facts = read_document(document(time='<effectiveTime value="20249999"/>'))
    assert facts.creation_time is None
    assert {Note.CREATION_TIME_INVALID, Note.CREATION_TIME_MISSING} <= set(facts.notes)
    written = '<author><time value="20230105"/></author>'
    facts = read_document(document(time="", rest=written))
    assert facts.creation_time == "20230105"
    assert Note.CREATION_TIME_FROM_AUTHOR in facts.notes


def test_service_times_come_from_the_service_event_then_the_encounter():
    event = (
        "<documentationOf><serviceEvent><effectiveTime>"
        '<low value="20200101"/><high value="20200630"/></effectiveTime></serviceEvent>'
        "</documentationOf>"
    )
    facts = read_document(document(rest=event))
    assert (facts.service_start, facts.service_stop) == ("20200101", "20200630")
    encounter = (
        "<componentOf><encompassingEncounter><effectiveTime>"
        '<low value="20210101"/></effectiveTime></encompassingEncounter></componentOf>'
    )
    facts = read_document(document(rest=encounter))
    assert (facts.service_start, facts.service_stop) == ("20210101", "20240302043000")
    assert Note.SERVICE_TIME_FROM_ENCOUNTER in facts.notes


def test_authors_as_xcn_and_xon():
    author = """<author><time value="20240301"/><assignedAuthor>
    <id root="1.9" extension="x"/><id root="2.16.840.1.113883.4.6" extension="1234567893"/>
    <assignedPerson><name><given>Max</given><family>O^Hara</family></name></assignedPerson>
    <representedOrganization><id root="1.5" extension="7"/><name>Good Health</name>
    </representedOrganization></assignedAuthor></author>
    <custodian><assignedCustodian><representedCustodianOrganization><id root="1.5.6"/>
    <name>Good Health</name></representedCustodianOrganization></assignedCustodian></custodian>"""
    facts = read_document(document(rest=author))
    assert facts.authors[0].person == r"1234567893^O\S\Hara^Max^^^^^^&2.16.840.1.113883.4.6&ISO"
    assert facts.authors[0].institutions == ("Good Health^^^^^&1.5&ISO^^^^7",)
    assert facts.custodian == "Good Health^^^^^^^^^1.5.6"


def test_a_uuid_root_becomes_an_oid_and_an_unusable_id_is_noted():
    facts = read_document(document(id='<id root="db734647-fc99-424c-a864-7e3cda82e703"/>'))
    assert facts.unique_id == "2.25.291699470687675376688566775405223274243"
    facts = read_document(document(id='<id root="1.2" extension="a b"/>'))
    assert facts.unique_id is None
    assert Note.DOCUMENT_ID_INVALID in facts.notes


def test_the_type_comes_from_the_template_where_the_code_is_missing():
    facts = read_document(document(code='<code nullFlavor="UNK"/>'))
    assert facts.type_code is not None
    assert facts.type_code.code == "34133-9"
    assert Note.TYPE_FROM_TEMPLATE in facts.notes


@pytest.mark.parametrize(
    ("patient", "code"),
    [
        ("", "cda-patient-missing"),
        ("<recordTarget/>", "cda-patient-unusable"),
        (PATIENT + PATIENT.replace("Lee", "Kim"), "cda-patient-several"),
    ],
)
def test_a_document_without_one_usable_patient_has_a_reason(patient: str, code: str):
    with pytest.raises(WireError) as caught:
        read_document(document(patient=patient))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "usable"),
    [
        ("JVBERi0xLjc=", True),
        ("JVBE\n Ri0xLjc=", True),
        ("", False),
        ("JVB", False),
        ("é===", False),
    ],
)
def test_an_embedded_file_must_be_base64(content: str, usable: bool):
    body = (
        "<component><nonXMLBody><text mediaType='application/pdf' representation='B64'>"
        f"{content}</text></nonXMLBody></component>"
    )
    if usable:
        facts = read_document(document(rest=body))
        assert facts.format_code is not None
        assert facts.format_code.code == "urn:hl7-org:sdwg:ccda-nonXMLBody:2.1"
        return
    with pytest.raises(WireError, match="cda-body-invalid"):
        read_document(document(rest=body))


def test_the_same_patient_twice_is_one_person():
    assert read_document(document(patient=PATIENT * 2)).patient.birth_date == "19800102"


EDGE = {
    "doctype_internal_subset.xml.gz": "xml-doctype",
    "latin1_bytes_misdeclared_utf8_INVALID.xml.gz": "xml-malformed",
    "no_recordTarget_INVALID.xml.gz": "cda-patient-missing",
    "nonXMLBody_bad_base64_INVALID.xml.gz": "cda-body-invalid",
    "huge_12MB_ccd.xml.gz": None,
    "iso8859-1_accented_name.xml.gz": None,
    "narrative_script_injection.xml.gz": None,
    "utf16le_bom.xml.gz": None,
    "utf8_bom.xml.gz": None,
}


@pytest.mark.shared
@pytest.mark.parametrize("name", EDGE)
def test_edge_case(shared_data: Path, name: str):
    data = gzip.decompress((shared_data / "ccda" / "edge" / name).read_bytes())
    if EDGE[name] is None:
        facts = read_document(data)
        assert facts.patient.names[0].family
        assert facts.patient.birth_date
        assert facts.type_code is not None
        return
    with pytest.raises(WireError) as caught:
        read_document(data)
    assert caught.value.code == EDGE[name]


@pytest.mark.shared
def test_an_accented_name_in_latin_1_is_read(shared_data: Path):
    path = shared_data / "ccda" / "edge" / "iso8859-1_accented_name.xml.gz"
    name = read_document(gzip.decompress(path.read_bytes())).patient.names[0]
    assert any(not (n or "").isascii() for n in (name.family, *name.given))


UNREADABLE = {
    "amida__broken.xml": "xml-malformed",
    "amida__empty.xml": "cda-not-a-document",
    "amida__newrx.xml": "cda-not-a-document",
    "bryn__hl7-sample.xml": "cda-patient-unusable",
    "bryn__referral.xml": "xml-malformed",
    "oncrefval__MedicationSectionCodeInvalid.xml": "cda-patient-missing",
    "oncrefval__ReferralNote.xml": "cda-patient-missing",
    "oncrefval__ReferralNote2.xml": "cda-patient-missing",
    "oncrefval__SDTCExtensionsTest.xml": "cda-patient-unusable",
    "oncrefval__Sample_basicHTML.xml": "xml-doctype",
    "oncrefval__Sample_blank_Empty_Document.xml": "xml-malformed",
    "oncrefval__maritalstatus.xml": "cda-patient-unusable",
    "oncrefval__maritalstatus2.xml": "cda-patient-unusable",
}
"""All in ccda/misc, made to be broken or cut down to the part their makers tested."""


def refused(documents: Iterator[tuple[str, bytes]]) -> tuple[int, dict[str, str]]:
    count, reasons = 0, {}
    for name, data in documents:
        count += 1
        try:
            facts = read_document(data)
        except NodeError as error:
            reasons[name] = error.code
        else:
            assert facts.patient.names
            assert facts.type_code is not None, name
    return count, reasons


@pytest.mark.shared
def test_every_document_of_every_vendor_is_read_or_has_a_reason(shared_data: Path):
    folders = ("vendors-2015ed", "vendors-mu2-r11", "onc-cures", "hl7-examples", "misc")
    paths = [p for f in folders for p in (shared_data / "ccda" / f).iterdir() if p.suffix != ".gz"]
    count, reasons = refused((p.name, p.read_bytes()) for p in paths)
    assert count >= 175
    assert reasons == UNREADABLE


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                yield member.name.rpartition("/")[2], stream.read()


@pytest.mark.shared
def test_onc_negative_documents_keep_what_is_right_in_them(shared_data: Path):
    found = dict(members(shared_data / "ccda" / "onc_negative_testing.tar.gz"))
    _, reasons = refused(iter(found.items()))
    assert reasons == {
        "NT_BadXml_r11_v2.xml": "xml-malformed",
        "NT_Missing_PatientName_r11_v2.xml": "cda-patient-unusable",
    }
    for name in ("NT_Bad_GenderCode_r11_v2.xml", "NT_Bad_GenderCodeSystem_r11_v2.xml"):
        facts = read_document(found[name])
        assert facts.patient.sex is None
        assert Note.SEX_INVALID in facts.notes


@pytest.mark.shared
def test_bulk_documents_are_all_read(shared_data: Path):
    found = refused(members(shared_data / "ccda" / "bulk" / "emerge_ccd_200.tar.gz"))
    assert found == (200, {})


@given(
    st.sampled_from(["root", "extension", "code", "codeSystem", "value", "nullFlavor", "use"]),
    st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=300),
    st.integers(0, 40),
)
@settings(max_examples=200, deadline=None)
def test_any_header_value_is_read_or_refused_with_a_reason(name: str, value: str, place: int):
    whole = document().decode().split(f'{name}="')
    at = place % max(len(whole) - 1, 1)
    if len(whole) > 1:
        whole[at + 1] = escape(value) + '"' + whole[at + 1].partition('"')[2]
    try:
        facts = read_document(f'{name}="'.join(whole).encode())
    except WireError as error:
        assert error.code.startswith(("cda-", "xml-"))  # noqa: PT017 - either way is right
    else:
        assert len(facts.unique_id or "") <= 128
        assert set(facts.patient.birth_date or "") <= set("0123456789")
