"""SOAP faults (ihe-wire 1.3, SOAP 1.2 part 2 table 20, WS-Addressing SOAP Binding 6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from node.errors import LimitError, OurFault, WireError
from node.wire import names
from node.wire.addressing import Addressing
from node.wire.faults import (
    Fault,
    FaultCode,
    Subcode,
    answer_error,
    asynchronous_fault,
    build_fault,
    fault_for,
    parse_fault,
    read_fault,
    receiver_fault,
    security_fault,
)
from node.wire.names import SOAP, SOAP_11, Deviation
from node.wire.soap import parse_envelope
from node.wire.xml import XmlLimits

LIMITS = XmlLimits()
REQUEST = Addressing(message_id="urn:uuid:11111111-2222-4333-8444-555555555555")
OWN = "urn:uuid:9d5d2d1c-1a51-4d42-9bbd-2f6a4b5ab2c3"


def sent(fault: Fault) -> bytes:
    return build_fault(fault, request=REQUEST, message_id=OWN)


def received(fault: Fault) -> Fault:
    envelope = parse_envelope(sent(fault), limits=LIMITS)
    assert envelope.deviations == ()
    assert envelope.addressing.relates_to == REQUEST.message_id
    assert envelope.addressing.action == fault.action
    result = read_fault(envelope.body)
    assert result is not None
    return result


@pytest.mark.parametrize("subcode", list(Subcode))
@pytest.mark.parametrize("code", [FaultCode.SENDER, FaultCode.RECEIVER])
def test_every_subcode_round_trips(code, subcode):
    fault = Fault(code=code, subcode=subcode, reason="No.", inner_subcode="{urn:x}Inner")
    assert received(fault) == fault


@given(
    code=st.sampled_from([FaultCode.SENDER, FaultCode.RECEIVER, FaultCode.DATA_ENCODING_UNKNOWN]),
    subcode=st.none() | st.from_regex(r"\{urn:[a-z]{1,9}\}[A-Za-z]{1,20}", fullmatch=True),
    reason=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60),
)
def test_any_fault_round_trips(code, subcode, reason):
    fault = Fault(code=code, subcode=subcode, reason=reason.strip())
    result = parse_fault(sent(fault), limits=LIMITS)
    assert result is not None
    assert (result.code, result.subcode, result.reason) == (code, subcode, reason.strip())


def test_detail_round_trips():
    fault = Fault(code=FaultCode.SENDER, reason="No.", detail=('<a xmlns="urn:x">1</a>',))
    assert received(fault) == fault


def test_the_code_value_is_a_qname_and_the_reason_has_a_language():
    root = etree.fromstring(sent(security_fault()))
    value = root.find(f".//{{{SOAP}}}Code/{{{SOAP}}}Value")
    prefix, _, local = value.text.partition(":")
    assert (value.nsmap[prefix], local) == (SOAP, "Sender")
    text = root.find(f".//{{{SOAP}}}Reason/{{{SOAP}}}Text")
    assert text.get(f"{{{names.XML}}}lang") == "en"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (FaultCode.SENDER, 400),
        (FaultCode.RECEIVER, 500),
        (FaultCode.MUST_UNDERSTAND, 500),
        (FaultCode.VERSION_MISMATCH, 500),
        (FaultCode.DATA_ENCODING_UNKNOWN, 500),
    ],
)
def test_http_status_of_soap_12_table_20(code, status):
    assert Fault(code=code, reason="No.").http_status == status


@pytest.mark.parametrize(
    ("error", "code", "subcode"),
    [
        (WireError("soap-version", "x"), FaultCode.VERSION_MISMATCH, None),
        (WireError("soap-not-understood", "x", where="{urn:x}R"), FaultCode.MUST_UNDERSTAND, None),
        (
            WireError("addressing-action-unsupported", "x", where="urn:no"),
            FaultCode.SENDER,
            Subcode.ACTION_NOT_SUPPORTED,
        ),
        (
            WireError("addressing-header-required", "x", where=f"{{{names.WSA}}}MessageID"),
            FaultCode.SENDER,
            Subcode.HEADER_REQUIRED,
        ),
        (WireError("addressing-invalid", "x"), FaultCode.SENDER, Subcode.INVALID_ADDRESSING_HEADER),
        (LimitError("xml-limit", "x"), FaultCode.SENDER, None),
        (OurFault("internal-error", "secret"), FaultCode.RECEIVER, None),
    ],
)
def test_each_error_has_its_fault(error, code, subcode):
    fault = fault_for(error)
    assert (fault.code, fault.subcode) == (code, subcode)
    assert received(fault).code == code
    assert b"secret" not in sent(fault)


def test_a_wsa_fault_has_the_wsa_fault_action():
    error = WireError("addressing-action-unsupported", "x", where="urn:no")
    assert fault_for(error).action == names.WSA_FAULT_ACTION
    assert b"<wsa:Action>urn:no</wsa:Action></wsa:ProblemAction>" in sent(fault_for(error))
    assert security_fault().action == names.SOAP_FAULT_ACTION


def test_a_version_mismatch_names_the_supported_envelope():
    root = etree.fromstring(sent(fault_for(WireError("soap-version", "x"))))
    supported = root.find(f".//{{{SOAP}}}Upgrade/{{{SOAP}}}SupportedEnvelope")
    prefix, _, local = supported.get("qname").partition(":")
    assert (supported.nsmap[prefix], local) == (SOAP, "Envelope")


def test_a_must_understand_fault_names_the_header():
    error = WireError("soap-not-understood", "x", where="{urn:x}Route")
    block = etree.fromstring(sent(fault_for(error))).find(f".//{{{SOAP}}}NotUnderstood")
    prefix, _, local = block.get("qname").partition(":")
    assert (block.nsmap[prefix], local) == ("urn:x", "Route")


@pytest.mark.parametrize("name", ["Route", "{not a uri%}Route", "{::}Route", None])
def test_a_header_block_whose_name_cannot_be_written_still_gets_its_fault(name):
    fault = fault_for(WireError("soap-not-understood", "x", where=name))
    assert received(fault).code == FaultCode.MUST_UNDERSTAND


def test_a_security_fault_tells_the_subcode_only():
    reasons = {security_fault(one).reason for one in Subcode if "wss" in one}
    assert len(reasons) == 8
    with pytest.raises(KeyError):
        security_fault(Subcode.ACTION_NOT_SUPPORTED)


def test_only_anonymous_replies():
    fault = received(asynchronous_fault())
    assert fault.inner_subcode == Subcode.ONLY_ANONYMOUS


def test_a_soap_11_fault_is_read():
    data = (
        f'<e:Envelope xmlns:e="{SOAP_11}"><e:Body><e:Fault><faultcode>e:Client</faultcode>'
        "<faultstring>No</faultstring><detail><a/></detail></e:Fault></e:Body></e:Envelope>"
    )
    fault = parse_fault(data.encode(), limits=LIMITS)
    assert fault == Fault(
        code=FaultCode.SENDER, reason="No", detail=("<a></a>",), deviations=("fault-soap-1.1",)
    )


def test_a_careless_fault_is_read_and_counted():
    data = (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><s:Code><s:Value>Sender</s:Value>'
        "<s:Subcode><s:Value>Odd</s:Value></s:Subcode></s:Code></s:Fault></s:Body></s:Envelope>"
    )
    assert parse_fault(data.encode(), limits=LIMITS) == Fault(
        code=FaultCode.SENDER,
        reason="",
        subcode="Odd",
        deviations=(Deviation.FAULT_CODE_UNQUALIFIED, Deviation.FAULT_REASON_MISSING),
    )


def test_a_detail_without_canonical_form_is_left_out():
    data = (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>'
        '</s:Code><s:Reason><s:Text xml:lang="de">Nein</s:Text></s:Reason><s:Detail>'
        '<a xmlns="relative"/><b/></s:Detail></s:Fault></s:Body></s:Envelope>'
    )
    fault = parse_fault(data.encode(), limits=LIMITS)
    assert fault == Fault(code=FaultCode.SENDER, reason="Nein", detail=("<b></b>",))


@pytest.mark.parametrize("data", [b"", b"Bad Request", b"<html/>", b"<!DOCTYPE a><a/>"])
def test_other_bodies_are_no_fault(data):
    assert parse_fault(data, limits=LIMITS) is None


def test_an_ordinary_answer_is_no_fault():
    data = f'<s:Envelope xmlns:s="{SOAP}"><s:Body><a/></s:Body></s:Envelope>'.encode()
    assert parse_fault(data, limits=LIMITS) is None


def test_a_peers_text_is_not_in_the_error():
    fault = Fault(code=FaultCode.SENDER, subcode="{urn:x}JaneDoe", reason="Jane Doe unknown")
    error = answer_error(fault)
    assert "Doe" not in f"{error} {error.detail} {error.where}"
    assert "FailedAuthentication" in str(answer_error(security_fault()))


def test_a_receiver_fault_is_500():
    assert receiver_fault().http_status == 500


@pytest.mark.shared
def test_faults_of_other_products(shared_data: Path):
    folder = shared_data / "ihe-soap" / "gateways"
    connect = parse_fault((folder / "connect__soap_fault_a.xml").read_bytes(), limits=LIMITS)
    assert connect is not None
    assert connect.code == FaultCode.RECEIVER
    assert connect.subcode is not None
    assert connect.subcode.endswith("}ClientErrorJobTokenNotFound")
    metriport = parse_fault((folder / "metriport__dr_soap_error.xml").read_bytes(), limits=LIMITS)
    assert metriport is not None
    assert metriport.code == FaultCode.SENDER
    assert metriport.reason.startswith("Unexpected element")
