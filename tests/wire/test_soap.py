"""SOAP 1.2 envelopes (ihe-wire 1, W3C SOAP 1.2 part 1)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from node.errors import LimitError, WireError
from node.wire import names, xml
from node.wire.addressing import Addressing
from node.wire.faults import build_fault, fault_for
from node.wire.names import SOAP, WSA, WSSE, Deviation
from node.wire.soap import build_envelope, build_response, parse_envelope
from node.wire.xml import E, XmlLimits

LIMITS = XmlLimits(max_bytes=20_000_000)
ACTION = names.OPERATIONS[names.Transaction.ITI_38].request_action
MESSAGE_ID = "urn:uuid:9d5d2d1c-1a51-4d42-9bbd-2f6a4b5ab2c3"


def envelope(header: str = "", body: str = "<a xmlns='urn:x'/>", soap: str = SOAP) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{soap}" xmlns:wsa="{WSA}" xmlns:wsse="{WSSE}" xmlns:x="urn:x">'
        f"<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def parse(data: bytes):
    return parse_envelope(data, limits=LIMITS)


def refusal(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        parse(data)
    return caught.value.code


def test_what_we_build_parses_without_deviation():
    addressing = Addressing(
        action=ACTION,
        message_id=MESSAGE_ID,
        to="https://peer.example/xca",
        reply_to=names.ANONYMOUS,
    )
    security = E(WSSE, "Security", {f"{{{SOAP}}}mustUnderstand": "true"})
    data = build_envelope(addressing=addressing, body=E(names.QUERY, "Q"), security=security)
    parsed = parse(data)
    assert parsed.addressing == addressing
    assert parsed.body_name == f"{{{names.QUERY}}}Q"
    assert parsed.security is not None
    assert parsed.deviations == ()


def test_to_and_action_are_sent_with_must_understand():
    root = etree.fromstring(
        build_envelope(
            addressing=Addressing(action=ACTION, message_id=MESSAGE_ID, to="https://peer.example/"),
            body=E("urn:x", "a"),
        )
    )
    flagged = {
        etree.QName(block).localname: block.get(f"{{{SOAP}}}mustUnderstand") for block in root[0]
    }
    assert flagged == {"To": "true", "Action": "true", "MessageID": None}


uris = st.from_regex(r"[a-z]{3,8}:[!#-~]{1,60}", fullmatch=True)


@given(
    addressing=st.builds(
        Addressing,
        action=uris,
        message_id=st.none() | uris,
        to=st.none() | uris,
        reply_to=st.none() | uris,
        relates_to=st.none() | st.text("!#$%&'()<>\"az09-:\u00e9", min_size=1, max_size=60),
        fault_to=st.none() | uris,
    ),
    content=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=50),
)
def test_round_trip(addressing, content):
    content = content.replace("\ufffe", "").replace("\uffff", "")
    parsed = parse(
        build_envelope(addressing=addressing, body=E("urn:x", "a", {"b": content}, content))
    )
    assert parsed.addressing == addressing
    assert (parsed.body.text or "") == content == parsed.body.get("b")


def test_relates_to_repeats_the_message_id_byte_for_byte():
    odd = "UUID:NoUrn-&<'\u00fc"
    answer = parse(
        build_response(
            request=Addressing(message_id=odd), action=ACTION, message_id=MESSAGE_ID, body=b"<a/>"
        )
    )
    assert answer.addressing.relates_to == odd
    assert answer.addressing.message_id == MESSAGE_ID


def test_signed_octets_are_put_in_as_they_are():
    octets = b'<wsse:Security xmlns:wsse="%s"  ><x   a = "1"></x></wsse:Security>' % WSSE.encode()
    data = build_envelope(addressing=Addressing(action=ACTION), body=b"<a/>", security=octets)
    assert octets in data


def test_building_does_not_move_the_callers_elements():
    parent = E("urn:x", "parent", {}, E("urn:x", "child"))
    build_envelope(addressing=Addressing(action=ACTION), body=parent[0])
    assert len(parent) == 1


def test_an_element_keeps_the_namespaces_it_stands_in():
    parent = etree.fromstring('<p:a xmlns:p="urn:p" xmlns:q="urn:q"><p:b t="q:name"/>tail</p:a>')
    parsed = parse(build_envelope(addressing=Addressing(action=ACTION), body=parent[0]))
    assert parsed.body.nsmap["q"] == "urn:q"
    assert parsed.deviations == ()


def test_soap_11_is_a_version_mismatch():
    assert refusal(envelope(soap=names.SOAP_11)) == "soap-version"
    assert refusal(envelope(soap="urn:other")) == "soap-version"


@pytest.mark.parametrize("body", ["", "text", "<a/><b/>", "<!-- only -->"])
def test_the_body_has_exactly_one_element(body):
    assert refusal(envelope(body=body)) == "soap-malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        f'<s:Envelope xmlns:s="{SOAP}"/>'.encode(),
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><a/></s:Body><s:Header/></s:Envelope>'.encode(),
        f'<s:Envelope xmlns:s="{SOAP}">{"<s:Body><a/></s:Body>" * 2}</s:Envelope>'.encode(),
    ],
)
def test_what_is_no_envelope_is_refused(data):
    assert refusal(data) == "soap-malformed"


def test_an_envelope_without_header_is_read():
    parsed = parse(f'<s:Envelope xmlns:s="{SOAP}"><s:Body><a/></s:Body></s:Envelope>'.encode())
    assert parsed.addressing == Addressing()


def test_an_unknown_header_that_must_be_understood_is_refused_by_name():
    with pytest.raises(WireError) as caught:
        parse(envelope('<x:Route s:mustUnderstand="1"/>'))
    assert caught.value.code == "soap-not-understood"
    assert caught.value.where == "{urn:x}Route"


def test_must_understand_for_another_role_is_not_for_us():
    header = '<x:Route s:mustUnderstand="1" s:role="urn:x:proxy"/>'
    assert parse(envelope(header)).deviations == ()
    header = f'<x:Route s:mustUnderstand="true" s:role="{SOAP}/role/next"/>'
    assert refusal(envelope(header)) == "soap-not-understood"


def test_known_headers_may_be_marked_must_understand():
    header = '<wsa:To s:mustUnderstand="1">urn:t</wsa:To><wsse:Security s:mustUnderstand="true"/>'
    assert parse(envelope(header)).security is not None


def test_an_unqualified_must_understand_is_counted_and_means_nothing():
    parsed = parse(envelope('<x:Route mustUnderstand="1"/>'))
    assert parsed.deviations == (Deviation.MUST_UNDERSTAND_UNQUALIFIED,)


def test_a_senseless_must_understand_is_counted_on_known_headers_only():
    header = '<wsa:Action s:mustUnderstand="yes">urn:a</wsa:Action>'
    assert parse(envelope(header)).deviations == (Deviation.MUST_UNDERSTAND_VALUE,)
    assert refusal(envelope('<x:Route s:mustUnderstand="yes"/>')) == "soap-not-understood"


def test_two_security_headers_are_refused():
    assert refusal(envelope("<wsse:Security/><wsse:Security/>")) == "soap-malformed"


def test_a_security_header_for_another_role_is_not_ours():
    assert parse(envelope('<wsse:Security s:role="urn:x:proxy"/>')).security is None


def test_text_beside_the_body_element_is_counted():
    assert parse(envelope(body="<a/>stray")).deviations == (Deviation.TEXT_BESIDE_BODY,)


def test_a_doctype_is_refused_and_limits_hold():
    assert refusal(b"<!DOCTYPE a><a/>") == "xml-doctype"
    with pytest.raises(LimitError):
        parse_envelope(envelope(), limits=XmlLimits(max_bytes=50))


def test_a_character_that_xml_cannot_carry_is_our_error_not_broken_xml():
    with pytest.raises(WireError):
        E("urn:x", "a", {}, "\x00")
    with pytest.raises(WireError):
        xml.escape("\x01")


# Files of data/ihe-soap that hold the word Envelope and are refused, and why.
NOT_ENVELOPES = {
    "gateways/epr__ITI-41_request_raw.xml": "a raw HTTP dump, read by test_mtom",
    "gateways/epr__ITI-41_response_raw.xml": "a raw HTTP dump, read by test_mtom",
    "nist__http-mtom-pnr.txt": "a raw HTTP dump, read by test_mtom",
    "nist__xml-parse-error.xml": "not well-formed on purpose",
    "nist__soap-pnr-soap-order.xml": "a negative case of NIST: the Header stands after the Body",
}


@pytest.mark.shared
def test_every_envelope_of_other_products_parses(shared_data: Path):
    folder = shared_data / "ihe-soap"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    envelopes = {name: data for name, data in files.items() if b":Envelope" in data}
    assert len(envelopes) > 50
    refused = {}
    for name, data in envelopes.items():
        try:
            parse(data)
        except WireError as error:
            refused[name] = error.code
    assert refused.keys() == NOT_ENVELOPES.keys()
    assert refused.pop("nist__soap-pnr-soap-order.xml") == "soap-malformed"
    assert set(refused.values()) == {"xml-malformed"}


@pytest.mark.shared
def test_partner_deviations_are_named(shared_data: Path):
    folder = shared_data / "ihe-soap" / "gateways"

    def deviations(name: str) -> set[str]:
        return set(parse((folder / name).read_bytes()).deviations)

    assert deviations("connect__soap_fault_a.xml") == {Deviation.ADDRESSING_NAMESPACE}
    assert Deviation.HEADER_WHITESPACE in deviations("metriport__dr_soap_error.xml")
    assert deviations("epr__ITI-43_request_raw.xml") == set()


@given(data=st.binary(max_size=300), at=st.integers(0, 2000))
def test_damaged_messages_are_refused_and_nothing_else_breaks(data, at):
    whole = envelope('<wsa:Action s:mustUnderstand="1">urn:a</wsa:Action>')
    damaged = whole[: at % len(whole)] + data + whole[at % len(whole) + len(data) :]
    try:
        parsed = parse(damaged)
    except WireError as error:
        fault_for(error)
    else:
        assert parsed.body is not None


# Files of data/xml-attacks that are harmless as XML, and why; all others are refused here.
HARMLESS = {
    "cdata_script_narrative.xml": "the script is text: display code must treat it so",
    "comment_in_nameid.xml": "comments are dropped while parsing",
    "pi_stylesheet_remote.xml": "style sheets are never followed",
}


@pytest.mark.shared
def test_hostile_xml_is_refused_with_a_fault(shared_data: Path):
    results = {}
    for path in sorted((shared_data / "xml-attacks").iterdir()):
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        elif path.suffix != ".xml":
            continue
        with pytest.raises(WireError) as caught:
            parse(data)
        assert build_fault(fault_for(caught.value), request=Addressing(), message_id=MESSAGE_ID)
        results[path.name] = caught.value.code
    assert {name for name, code in results.items() if code == "soap-malformed"} == set(HARMLESS)
    assert results["billion_laughs.xml"] == "xml-doctype"
    assert results["deep_nesting_100k.xml.gz"] == "xml-limit"
