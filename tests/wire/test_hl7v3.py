from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import LimitError, OurFault, WireError
from node.model import Address, PatientId, PersonName, Telecom
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.hl7v3 import (
    InstanceId,
    build_address,
    build_id,
    build_name,
    hl7,
    parse_address,
    parse_birth_date,
    parse_home,
    parse_id,
    parse_name,
    parse_patient_id,
    parse_sex,
    parse_telecom,
)
from node.wire.timestamps import instant, parse_date, parse_time
from node.wire.xml import E, parse


def element(inner: str, attributes: str = ""):
    return parse(f'<value xmlns="urn:hl7-org:v3" {attributes}>{inner}</value>'.encode())


def read(parser, inner: str, attributes: str = ""):
    deviations = Deviations()
    return parser(element(inner, attributes), deviations), deviations.seen()


# --- timestamps -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("20260101", "20260101"),
        ("2026", "2026"),
        ("202601", "202601"),
        ("20260101120000", "20260101120000"),
        ("20260101120000.1234", "20260101120000"),
        ("20260101120000+0000", "20260101120000"),
        ("20260101230000-0500", "20260102040000"),
        ("20260101000000+0530", "20251231183000"),
        ("2026010112+0530", "2026010106"),
        ("2024-04-04T22:15:35.094Z", "20240404221535"),
        ("2024-04-04", "20240404"),
        ("2024-04-04T22:15", "202404042215"),
        ("20260101-0500", "20260101"),
        ("20240229", "20240229"),
        ("20261231235960", "20261231235959"),
        ("00010101000000+1400", None),
        ("20230229", None),
        ("201061019543", None),
        ("20261301", None),
        ("0000", None),
        ("yesterday", None),
        ("", None),
        ("2026" * 20, None),
        ("٢٠٢٦", None),
    ],
)
def test_a_timestamp_keeps_its_precision_and_becomes_utc(written, understood):
    assert parse_time(written) == understood


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("1980-02-03", "19800203"),
        ("19800203233000-0500", "19800203"),
        ("1980", "1980"),
        ("198002", "198002"),
        ("1980-02-30", None),
        ("$dob$", None),
    ],
)
def test_a_date_of_birth_is_never_shifted_by_an_offset(written, understood):
    assert parse_date(written) == understood


def test_an_instant_is_written_in_utc():
    zone = timezone(timedelta(hours=-5))
    assert instant(datetime(2026, 1, 1, 20, 30, 5, tzinfo=zone)) == "20260102013005"
    assert instant(datetime(2026, 1, 1, tzinfo=UTC)) == "20260101000000"


@given(st.text(max_size=45))
def test_no_text_breaks_the_timestamp_parser(text):
    for result in (parse_time(text), parse_date(text)):
        assert result is None or (result.isdigit() and 4 <= len(result) <= 14)


# --- reading ----------------------------------------------------------------------------------


def test_a_name_of_parts_is_read_in_order():
    name, deviations = read(
        parse_name,
        "<prefix>Dr</prefix><given>Ann</given><given> B </given><family>Smith</family>"
        "<family>Jones</family><suffix>III</suffix>",
        'use="L"',
    )
    assert name == PersonName(
        family="Smith Jones", given=("Ann", "B"), prefix="Dr", suffix="III", use="L"
    )
    assert deviations == ()


def test_a_name_in_one_text_is_split_and_counted():
    name, deviations = read(parse_name, "Ann Bea Smith")
    assert name == PersonName(family="Smith", given=("Ann", "Bea"))
    assert deviations == (ContentDeviation.NAME_UNSTRUCTURED,)


@pytest.mark.parametrize(
    "attributes",
    ['nullFlavor="UNK"', 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"'],
)
def test_null_values_are_absent(attributes):
    for parser in (parse_name, parse_address, parse_telecom, parse_birth_date, parse_sex):
        assert read(parser, "", attributes) == (None, ())


def test_a_street_in_pieces_becomes_one_line():
    address, _ = read(
        parse_address,
        "<houseNumber>12</houseNumber><streetName>Main St</streetName><city>Troy</city>",
    )
    assert address == Address(lines=("12 Main St",), city="Troy")


def test_template_leftovers_in_an_address_are_counted():
    address, deviations = read(parse_address, "&lt;0&gt;<city>Troy</city>")
    assert address == Address(city="Troy")
    assert deviations == (ContentDeviation.STRAY_TEXT,)


@pytest.mark.parametrize(
    ("code", "sex"),
    [
        ("female", "F"),
        ("Male", "M"),
        ("m", "M"),
        ("unknown", None),
        ("other", "UN"),
        ("${Gender}", None),
    ],
)
def test_gender_words_are_understood_and_counted(code, sex):
    assert read(parse_sex, "", f'code="{code}"') == (sex, (ContentDeviation.GENDER_WORD,))


@pytest.mark.parametrize("code", ["M", "F", "UN"])
def test_gender_codes_are_no_deviation(code):
    assert read(parse_sex, "", f'code="{code}"') == (code, ())


def test_values_given_as_element_text_are_understood_and_counted():
    counted = (ContentDeviation.VALUE_AS_TEXT,)
    assert read(parse_birth_date, " 19800203 ") == ("19800203", counted)
    assert read(parse_telecom, "tel:+1-555") == (Telecom(value="tel:+1-555"), counted)
    assert read(parse_sex, "F") == ("F", counted)


def test_an_iso_birth_date_is_understood_and_counted():
    assert read(parse_birth_date, "", 'value="1980-02-03"') == (
        "19800203",
        (ContentDeviation.TIME_ISO,),
    )


@pytest.mark.parametrize(
    ("inner", "date"),
    [
        ('<low value="19800203"/><high value="19800203"/>', "19800203"),
        ('<low value="19800101"/><high value="19801231"/>', "1980"),
        ('<low value="19800201"/><high value="19800229"/>', "198002"),
        ('<low value="1979"/><high value="1981"/>', None),
        ('<center value="198002"/>', "198002"),
    ],
)
def test_an_interval_of_birth_gives_what_both_ends_share(inner, date):
    assert read(parse_birth_date, inner)[0] == date


def test_ids_are_read_with_their_deviations():
    assert read(parse_id, "", 'root="1.2" extension=""') == (InstanceId(root="1.2"), ())
    assert read(parse_patient_id, "", 'root="1.2" extension="x"') == (
        PatientId(assigning_authority="1.2", id="x"),
        (),
    )
    assert read(parse_patient_id, "", 'root="urn:oid:1.2" extension="x"') == (
        PatientId(assigning_authority="1.2", id="x"),
        (ContentDeviation.ID_ROOT_URN,),
    )
    assert read(parse_patient_id, "", 'root="HOSP" extension="x"') == (
        PatientId(assigning_authority="HOSP", id="x"),
        (ContentDeviation.ID_ROOT_NOT_OID,),
    )
    assert read(parse_patient_id, "", 'root="1.2"') == (
        None,
        (ContentDeviation.ID_WITHOUT_EXTENSION,),
    )


def test_a_home_community_id_is_bare_and_a_urn_is_tolerated():
    assert read(parse_home, "", 'root="1.2.3"') == ("urn:oid:1.2.3", ())
    assert read(parse_home, "", 'root="urn:oid:1.2.3"') == (
        "urn:oid:1.2.3",
        (ContentDeviation.HOME_COMMUNITY_FORM,),
    )
    with pytest.raises(WireError) as caught:
        read(parse_home, "", 'root="not an oid"')
    assert caught.value.code == "identifier-invalid"


def test_a_value_past_the_limit_is_refused():
    with pytest.raises(LimitError) as caught:
        read(parse_name, f"<family>{'x' * 5000}</family>")
    assert caught.value.code == "value-too-long"
    assert "xxx" not in str(caught.value)


# --- writing ----------------------------------------------------------------------------------


def test_names_and_addresses_are_written_in_order():
    root = E("urn:hl7-org:v3", "r")
    name = PersonName(family="F", given=("G1", "G2"), prefix="P", suffix="S")
    written = build_name(root, "name", name)
    assert [part.tag for part in written] == [
        hl7(part) for part in ("prefix", "given", "given", "family", "suffix")
    ]
    address = Address(lines=("L1", "L2"), city="C", state="S", postal_code="Z", country="US")
    assert [part.text for part in build_address(root, "addr", address)] == [
        "L1",
        "L2",
        "C",
        "S",
        "Z",
        "US",
    ]


def test_a_character_that_xml_cannot_carry_is_our_fault_and_not_quoted():
    root = E("urn:hl7-org:v3", "r")
    with pytest.raises(OurFault) as caught:
        build_name(root, "name", PersonName(family="Secret\x00Name"))
    assert caught.value.code == "text-not-xml"
    assert "Secret" not in f"{caught.value} {caught.value.detail} {caught.value.where}"


def test_an_id_without_root_is_not_sent():
    with pytest.raises(WireError):
        build_id(E("urn:hl7-org:v3", "r"), "id", InstanceId(root=""))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_either_carried_or_refused(text):
    root = E("urn:hl7-org:v3", "r")
    try:
        written = build_name(root, "name", PersonName(family=text or "x"))
    except OurFault:
        return
    name = parse_name(written, Deviations())
    assert (name.family if name else "") == (text or "x").strip()
