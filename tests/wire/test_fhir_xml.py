"""FHIR in XML is read as the same resource in JSON is; the XML is made by another library."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from node.wire.reader.document import ReadableDocument, SectionState, Unreadable, texts
from node.wire.reader.fhir_xml import resource_of
from node.wire.reader.read import read
from node.wire.xml import parse

XHTML = "http://www.w3.org/1999/xhtml"
_BARE = re.compile(r"(\d)\.0\b")
EXAMPLES = ("hl7.fhir.us.core-6.1.0-examples", "hl7.fhir.us.davinci-pdex-2.2.0-examples")


def fhir(inner: str, kind: str = "Patient") -> bytes:
    return f'<?xml version="1.0"?><{kind} xmlns="http://hl7.org/fhir">{inner}</{kind}>'.encode()


def test_elements_repeat_as_their_type_says_and_truth_is_truth() -> None:
    data = fhir(
        "<id value='p'/><active value='true'/>"
        "<name><family value='Lee'/><given value='Ana'/></name>"
        "<maritalStatus><text value='single'/></maritalStatus><multipleBirthInteger value='2'/>"
        "<contained><Organization><name value='Vale'/></Organization></contained>"
        "<extension url='u'><valueString value='x'/></extension><never><a value='1'/></never>"
        "<text><status value='generated'/><div xmlns='http://www.w3.org/1999/xhtml'>Hi</div></text>"
    )
    found = resource_of(parse(data))
    assert found["text"].pop("div") == f'<div xmlns="{XHTML}">Hi</div>'
    assert found == {
        "resourceType": "Patient", "id": "p", "active": True, "multipleBirthInteger": "2",
        "name": [{"family": "Lee", "given": ["Ana"]}], "maritalStatus": {"text": "single"},
        "contained": [{"resourceType": "Organization", "name": "Vale"}],
        "extension": [{"url": "u", "valueString": "x"}], "never": {"a": "1"},
        "text": {"status": "generated"},
    }  # fmt: skip


def test_a_value_of_one_is_shown() -> None:
    data = fhir(
        "<code><text value='Creatinine'/></code>"
        "<valueQuantity><value value='1'/><unit value='mg/dL'/></valueQuantity>",
        "Observation",
    )
    found = read(data)
    assert isinstance(found, ReadableDocument)
    assert "1 mg/dL" in "".join(texts(found.sections[0].content))


def test_a_document_in_xml_opens_with_its_narrative() -> None:
    div = f"<div xmlns='{XHTML}'>Take <b>metoprolol</b><script>alert(1)</script></div>"
    data = fhir(
        "<type value='document'/><entry><resource><Composition><title value='Summary'/>"
        "<section><title value='Medications'/><code><coding><code value='10160-0'/></coding></code>"
        f"<text><status value='generated'/>{div}</text></section></Composition></resource></entry>",
        "Bundle",
    )
    found = read(data)
    assert isinstance(found, ReadableDocument)
    assert (found.title, found.left_out.active) == ("Summary", 1)
    (section,) = found.sections
    assert (section.group, section.state) == ("medications", SectionState.NARRATIVE)
    assert "".join(texts(section.content)).split() == ["Take", "metoprolol"]


@pytest.mark.parametrize("inner", ["", "<entry/>", "<entry><resource/></entry>", "<x><y/></x>"])
def test_what_says_nothing_is_a_value(inner: str) -> None:
    for kind in ("Bundle", "Nothing", "fhirtypes", "Abstract"):
        assert isinstance(read(fhir(inner, kind)), ReadableDocument | Unreadable)


def resources(shared: Path) -> Iterator[dict[str, Any]]:
    """Every third example: reading all of them twice takes long."""
    for name in EXAMPLES:
        with tarfile.open(shared / "fhir" / "ig" / f"{name}.tar.gz") as held:
            for member in held.getmembers()[::3]:
                file = held.extractfile(member) if member.name.endswith(".json") else None
                found = json.load(file) if file else {}
                if "resourceType" in found:
                    yield found


@pytest.mark.shared
def test_the_guides_examples_are_read_from_xml_as_from_json(shared_data: Path) -> None:
    compared = 0
    for resource in resources(shared_data):
        try:
            model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            in_xml = model.model_dump_xml()
        except (ValidationError, ValueError, AttributeError, TypeError):
            continue  # of another version of FHIR, or the library cannot write it
        assert said(read(in_xml)) == said(read(model.model_dump_json().encode())), resource["id"]
        compared += 1
    assert compared > 30


def said(found: ReadableDocument | Unreadable) -> list[Any]:
    assert isinstance(found, ReadableDocument), found
    # the library writes 109 as 109.0 in XML
    return [
        found.title, found.patients, found.authors, found.custodian, found.created,
        [
            (s.title, s.count, s.state, _BARE.sub(r"\1", "".join(texts(s.content))).split())
            for s in found.sections
        ],
    ]  # fmt: skip
