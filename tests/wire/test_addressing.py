"""WS-Addressing rules (ihe-wire 1.2, 1.3; WS-Addressing 1.0 Core and SOAP Binding)."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from node.errors import WireError
from node.model import Transaction
from node.wire.addressing import (
    Addressing,
    build_addressing,
    check_message_id,
    check_response,
    dispatch,
    parse_addressing,
    reply,
)
from node.wire.names import ANONYMOUS, HL7, NO_REPLY, OPERATIONS, QUERY, SOAP, WSA, Deviation
from node.wire.soap import parse_envelope
from node.wire.xml import XmlLimits

ID = "urn:uuid:9d5d2d1c-1a51-4d42-9bbd-2f6a4b5ab2c3"
QUERY_ACTION = "urn:ihe:iti:2007:CrossGatewayQuery"
QUERY_BODY = f"{{{QUERY}}}AdhocQueryRequest"


def header(blocks: str) -> etree._Element:
    return etree.fromstring(f'<h xmlns="{WSA}" xmlns:w="{WSA}" xmlns:s="{SOAP}">{blocks}</h>')


def request(**changes) -> Addressing:
    values = {"action": QUERY_ACTION, "message_id": ID, "to": "https://n.example/", **changes}
    return Addressing(**values)


def refusal(call, *args, **keywords) -> WireError:
    with pytest.raises(WireError) as caught:
        call(*args, **keywords)
    return caught.value


def test_all_properties_are_read_in_any_order_and_prefix():
    parsed, deviations = parse_addressing(
        header(
            "<FaultTo><Address>urn:f</Address></FaultTo><RelatesTo>urn:r</RelatesTo>"
            "<w:ReplyTo><Address>urn:p</Address></w:ReplyTo><w:To>urn:t</w:To>"
            "<MessageID>urn:m</MessageID><Action>urn:a</Action>"
            "<From><Address>urn:me</Address></From>"
        )
    )
    assert parsed == Addressing(
        action="urn:a",
        message_id="urn:m",
        to="urn:t",
        reply_to="urn:p",
        relates_to="urn:r",
        fault_to="urn:f",
    )
    assert deviations == ()


def test_white_space_in_values_is_dropped_and_counted():
    parsed, deviations = parse_addressing(
        header("<Action>\n  urn:a </Action><MessageID>urn:uuid:1-\n  2</MessageID>")
    )
    assert (parsed.action, parsed.message_id) == ("urn:a", "urn:uuid:1-2")
    assert deviations == (Deviation.HEADER_WHITESPACE,)


def test_empty_values_are_absent():
    parsed, _ = parse_addressing(header("<To/><Action> </Action><ReplyTo/>"))
    assert parsed == Addressing()


def test_no_header_has_no_properties():
    assert parse_addressing(None) == (Addressing(), ())


@pytest.mark.parametrize("name", ["Action", "MessageID", "To", "RelatesTo", "ReplyTo"])
def test_a_property_stands_once(name):
    block = f"<{name}>urn:a</{name}>"
    error = refusal(parse_addressing, header(block + block))
    assert error.code == "addressing-invalid"
    assert error.where == f"{{{WSA}}}{name}"


def test_values_have_a_limit():
    assert refusal(parse_addressing, header(f"<To>urn:{'a' * 3000}</To>")).code == (
        "addressing-invalid"
    )
    assert refusal(parse_addressing, header(f"<MessageID>urn:{'a' * 300}</MessageID>"))


def test_relates_to_of_another_kind_is_not_the_reply():
    parsed, _ = parse_addressing(
        header('<RelatesTo RelationshipType="urn:x">urn:1</RelatesTo><RelatesTo>urn:2</RelatesTo>')
    )
    assert parsed.relates_to == "urn:2"


@pytest.mark.parametrize(
    ("changes", "asynchronous"),
    [
        ({}, False),
        ({"reply_to": ANONYMOUS}, False),
        ({"reply_to": "https://callback.example/"}, True),
        ({"fault_to": "https://callback.example/"}, True),
        ({"reply_to": NO_REPLY}, True),
    ],
)
def test_a_reply_to_that_is_not_anonymous_is_recognised(changes, asynchronous):
    assert request(**changes).asynchronous is asynchronous
    assert request(**changes).no_reply is (changes.get("reply_to") == NO_REPLY)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda o: o.transaction)
def test_a_request_is_dispatched_by_its_action(operation):
    addressing = request(action=operation.request_action)
    assert dispatch(addressing, operation.request) == (operation, ())


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda o: o.transaction)
def test_a_missing_action_is_dispatched_by_the_body_and_counted(operation):
    found, deviations = dispatch(request(action=None), operation.request)
    assert found is operation
    assert deviations == (Deviation.ACTION_MISSING,)


def test_an_unknown_action_is_not_supported():
    error = refusal(dispatch, request(action="urn:other"), QUERY_BODY)
    assert (error.code, error.where) == ("addressing-action-unsupported", "urn:other")


def test_an_action_of_another_endpoint_is_not_supported():
    error = refusal(dispatch, request(), QUERY_BODY, accept=[Transaction.ITI_55])
    assert error.code == "addressing-action-unsupported"


def test_the_body_is_the_one_the_action_calls_for():
    body = f"{{{HL7}}}PRPA_IN201305UV02"
    assert refusal(dispatch, request(), body).code == "soap-body-unexpected"
    assert refusal(dispatch, request(action=None), "{urn:x}Other").code == "soap-body-unexpected"


def test_a_body_in_the_wrong_namespace_is_counted():
    _, deviations = dispatch(request(), "AdhocQueryRequest")
    assert deviations == (Deviation.BODY_NAMESPACE,)


def test_a_request_without_message_id_lacks_a_required_header():
    error = refusal(dispatch, request(message_id=None), QUERY_BODY)
    assert (error.code, error.where) == ("addressing-header-required", f"{{{WSA}}}MessageID")


@pytest.mark.parametrize("message_id", ["9d5d2d1c-1a51-4d42-9bbd-2f6a4b5ab2c3", "urn:uuid:1", "x"])
def test_a_message_id_of_another_form_is_counted(message_id):
    assert check_message_id(request(message_id=message_id)) == (Deviation.MESSAGE_ID_FORM,)
    assert check_message_id(request(message_id=ID.upper())) == ()


def test_a_missing_to_is_counted():
    assert dispatch(request(to=None), QUERY_BODY)[1] == (Deviation.TO_MISSING,)


def answer(**changes) -> Addressing:
    values = {"action": "urn:r", "message_id": "urn:uuid:2", "relates_to": ID, **changes}
    return Addressing(**values)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"relates_to": None}, (Deviation.RELATES_TO_MISSING,)),
        ({"relates_to": ID.removeprefix("urn:uuid:")}, (Deviation.RELATES_TO_FORM,)),
        ({"relates_to": ID.upper()}, (Deviation.RELATES_TO_FORM,)),
        ({"action": None}, (Deviation.ACTION_MISSING,)),
        ({"action": "urn:odd"}, (Deviation.ACTION_UNEXPECTED,)),
        ({"message_id": None}, (Deviation.MESSAGE_ID_MISSING,)),
    ],
)
def test_an_answer_is_judged(changes, expected):
    assert check_response(answer(**changes), message_id=ID, actions=["urn:r"]) == expected


def test_an_answer_to_another_message_is_refused():
    other = answer(relates_to="urn:uuid:00000000-1a51-4d42-9bbd-2f6a4b5ab2c3")
    assert refusal(check_response, other, message_id=ID).code == "addressing-mismatch"


def test_a_reply_goes_to_the_anonymous_address():
    replied = reply(request(reply_to="https://x.example/"), action="urn:r", message_id="urn:m")
    assert replied == Addressing(
        action="urn:r", message_id="urn:m", to=ANONYMOUS, relates_to=request().message_id
    )


@pytest.mark.parametrize(
    "changes", [{"action": None}, {"action": "no uri"}, {"to": "a b"}, {"message_id": "<x>"}]
)
def test_what_we_send_conforms(changes):
    assert refusal(build_addressing, request(**changes)).code == "addressing-invalid"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "transaction"),
    [
        ("nist__soap-xcr-req.xml", Transaction.ITI_39),
        ("gateways/metriport__saml_signed_xcpd_request_rsa-sha1.xml", Transaction.ITI_55),
    ],
)
def test_requests_of_other_products_are_dispatched(
    shared_data: Path, name: str, transaction: Transaction
):
    data = (shared_data / "ihe-soap" / name).read_bytes()
    envelope = parse_envelope(data, limits=XmlLimits())
    operation, _ = dispatch(envelope.addressing, envelope.body_name)
    assert operation.transaction is transaction
