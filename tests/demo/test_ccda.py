"""The documents that the demo writes are C-CDA that the node reads as any vendor's."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from node.demo.charts import HeldFile, made_records
from node.demo.people import cast, read_table
from node.wire.cda import read_document
from node.wire.document_facts import DocumentFacts

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
V3 = "{urn:hl7-org:v3}"


@pytest.fixture(scope="module")
def files() -> dict[str, HeldFile]:
    return {file.name: file for held in made_records(cast(), NOW).values() for file in held}


@pytest.fixture(scope="module")
def facts(files: dict[str, HeldFile]) -> dict[str, DocumentFacts]:
    return {name: read_document(file.content) for name, file in files.items()}


def test_every_document_is_read_without_a_remark(facts: dict[str, DocumentFacts]) -> None:
    assert len(facts) >= 10
    assert {name: f.notes for name, f in facts.items() if f.notes} == {}


def test_a_document_says_what_an_index_needs(facts: dict[str, DocumentFacts]) -> None:
    discharge = facts["discharge.xml"]
    assert discharge.title == "Discharge Summary: Atrial Fibrillation"
    assert discharge.type_code is not None
    assert discharge.type_code.code == "18842-5"
    assert discharge.format_code is not None
    assert discharge.format_code.code == "urn:hl7-org:sdwg:ccda-structuredBody:2.1"
    assert discharge.unique_id == "2.999.20.6^discharge-20260423"
    assert (discharge.service_start, discharge.service_stop) == ("20260420090000", "20260423160000")
    assert discharge.creation_time == "20260423170000"
    assert discharge.authors[0].person is not None
    assert "Castellanos^Chidi" in discharge.authors[0].person
    assert discharge.authors[0].institutions[0].startswith("Cedar Valley Hospital^")
    assert discharge.legal_authenticator is not None
    assert discharge.custodian is not None
    assert discharge.language == "en-US"


def test_the_patient_is_the_person_of_the_cast(facts: dict[str, DocumentFacts]) -> None:
    person = cast().people["marisol"]
    patient = facts["progress.xml"].patient
    assert patient.names[0].family == person.family
    assert patient.names[0].given == person.given
    assert (patient.birth_date, patient.sex) == (person.birth_date, person.sex)
    assert patient.addresses[0].lines == (person.street,)
    assert patient.telecoms[0].value == f"tel:{person.telephone}"
    assert patient.identifiers[0].id == person.numbers["lakeside"]


def test_the_same_inputs_give_the_same_bytes(files: dict[str, HeldFile]) -> None:
    again = {file.name: file for held in made_records(cast(), NOW).values() for file in held}
    assert again == files


def test_ids_inside_a_document_are_unique_and_references_lead_to_rows(
    files: dict[str, HeldFile],
) -> None:
    for file in files.values():
        root = ET.fromstring(file.content)
        entries = [e.get("root") for e in root.findall(f".//{V3}entry//{V3}id")]
        assert len(entries) == len(set(entries)), file.name
        rows = [e.get("ID") for e in root.iter() if e.get("ID")]
        assert len(rows) == len(set(rows)), file.name
        references = {e.get("value", "").removeprefix("#") for e in root.iter(f"{V3}reference")}
        assert references <= set(rows), file.name


def test_every_section_has_its_template_code_and_narrative(files: dict[str, HeldFile]) -> None:
    kinds = {kind["code"]: kind for kind in read_table("ccda")["section"].values()}
    seen = set()
    for file in files.values():
        for section in ET.fromstring(file.content).iter(f"{V3}section"):
            code = section.find(f"{V3}code")
            text = section.find(f"{V3}text")
            assert code is not None
            assert text is not None
            kind = kinds[code.get("code", "")]
            templates = {t.get("root") for t in section.findall(f"{V3}templateId")}
            assert kind["template"][0] in templates
            assert "".join(text.itertext()).strip()
            seen.add(code.get("code"))
    assert seen == set(kinds), "a kind of section that no document uses is untested"


def test_coded_rows_become_entries(files: dict[str, HeldFile]) -> None:
    root = ET.fromstring(files["summary.xml"].content)
    codes = {e.get("code") for e in root.findall(f".//{V3}entry//*[@code]")}
    assert {"44054006", "861007", "7980", "4548-4", "8480-6", "141"} <= codes
    value = root.find(f".//{V3}observation/{V3}value[@unit='%']")
    assert value is not None
    assert value.get("value") == "7.1"


def test_no_identifier_lies_outside_the_arc_for_examples(files: dict[str, HeldFile]) -> None:
    for file in files.values():
        for element in ET.fromstring(file.content).iter(f"{V3}id"):
            root = element.get("root", "")
            assert root.startswith("2.999.") or "-" in root, file.name
