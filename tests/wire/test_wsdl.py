"""Our WSDL files, as zeep reads and uses them (DESIGN section 4)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import zeep
from lxml import etree
from requests import Response
from requests.structures import CaseInsensitiveDict
from zeep.transports import Transport

from node.errors import OurFault
from node.model import Transaction
from node.wire import mtom_writer
from node.wire.addressing import Addressing, dispatch
from node.wire.faults import build_fault, security_fault
from node.wire.mtom_writer import MtomWriter
from node.wire.names import HL7, OPERATIONS, RIM, RS, XDSB, Operation
from node.wire.soap import build_response, parse_envelope
from node.wire.wsdl import SCHEMAS, schema_document, wsdl_document
from node.wire.xml import E, XmlLimits

ADDRESS = "https://node.example/xca"
OWN_ID = "urn:uuid:9d5d2d1c-1a51-4d42-9bbd-2f6a4b5ab2c3"
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"


class Local(Transport):
    """A transport without HTTP: documents from ``node.wire.wsdl``, answers from the test."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__()
        self.transaction = transaction
        self.sent: list[bytes] = []
        self.answer: tuple[int, str, bytes] = (200, "application/soap+xml", b"")

    def load(self, url: str) -> bytes:
        if url == f"{ADDRESS}?wsdl":
            return wsdl_document(self.transaction, ADDRESS)
        document = schema_document(url.removeprefix(f"{ADDRESS}?xsd="), ADDRESS)
        assert document is not None, url
        return document

    def post_xml(self, address: str, envelope: etree._Element, headers: dict[str, str]) -> Response:
        assert address == ADDRESS
        self.sent.append(etree.tostring(envelope))
        response = Response()
        response.status_code, content_type, response._content = self.answer
        response.headers = CaseInsensitiveDict({"content-type": content_type})
        return response


def client(transaction: Transaction) -> tuple[zeep.Client, Local]:
    transport = Local(transaction)
    return zeep.Client(f"{ADDRESS}?wsdl", transport=transport), transport


def content(transaction: Transaction) -> dict:
    """A request of each transaction as zeep takes it."""
    match transaction:
        case Transaction.ITI_55:
            return {"ITSVersion": "XML_1.0", "_value_1": [E(HL7, "id", {"root": "1.2.3"})]}
        case Transaction.ITI_38:
            slot = {"name": "$XDSDocumentEntryPatientId", "ValueList": {"Value": ["'1'"]}}
            query = {"id": "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d", "Slot": [slot]}
            return {"ResponseOption": {"returnType": "LeafClass"}, "AdhocQuery": query}
        case Transaction.ITI_39:
            ids = ("HomeCommunityId", "RepositoryUniqueId", "DocumentUniqueId")
            return {"DocumentRequest": [dict.fromkeys(ids, "1.2.3")]}
        case Transaction.ITI_80:
            slot = {"name": "homeCommunityId", "ValueList": {"Value": ["urn:oid:1.2.3"]}}
            objects = {"_value_1": [E(RIM, "ExtrinsicObject", {"id": "d"})]}
            submit = {"RequestSlotList": {"Slot": [slot]}, "RegistryObjectList": objects}
            return {
                "SubmitObjectsRequest": submit,
                "Document": [{"_value_1": b"x", "id": "d"}],
            }


def call(connection: zeep.Client, transaction: Transaction):
    (operation,) = connection.service._operations.values()
    return operation(**content(transaction))


def respond(operation: Operation, body: etree._Element) -> bytes:
    return build_response(
        request=Addressing(message_id=OWN_ID),
        action=operation.response_action,
        message_id=OWN_ID,
        body=body,
    )


@pytest.mark.parametrize("transaction", list(Transaction))
def test_zeep_builds_the_request_that_we_take(transaction):
    connection, transport = client(transaction)
    operation = OPERATIONS[transaction]
    transport.answer = (400, "application/soap+xml", b"")
    with pytest.raises(zeep.exceptions.TransportError):
        call(connection, transaction)
    envelope = parse_envelope(transport.sent[0], limits=XmlLimits())
    assert envelope.body_name == operation.request
    assert envelope.addressing.action == operation.request_action
    assert envelope.addressing.to == ADDRESS
    assert dispatch(envelope.addressing, envelope.body_name) == (operation, ())
    assert envelope.deviations == ()


@pytest.mark.parametrize("transaction", list(Transaction))
def test_names_and_actions_are_those_of_the_codec(transaction):
    root = etree.fromstring(wsdl_document(transaction, ADDRESS))
    operation = OPERATIONS[transaction]
    wsdl = "{http://schemas.xmlsoap.org/wsdl/}"
    for namespace in (
        "http://www.w3.org/2007/05/addressing/metadata",
        "http://www.w3.org/2006/05/addressing/wsdl",
    ):
        found = [
            root.find(f"{wsdl}portType/{wsdl}operation/{wsdl}{kind}").get(f"{{{namespace}}}Action")
            for kind in ("input", "output")
        ]
        assert found == [operation.request_action, operation.response_action]
    parts = [part.get("element") for part in root.iter(f"{wsdl}part")]
    named = [part.partition(":") for part in parts]
    names = [f"{{{root.nsmap[prefix]}}}{name}" for prefix, _, name in named]
    assert names == [operation.request, operation.response]


def test_zeep_reads_a_discovery_answer():
    connection, transport = client(Transaction.ITI_55)
    operation = OPERATIONS[Transaction.ITI_55]
    body = E(
        HL7, "PRPA_IN201306UV02", {"ITSVersion": "XML_1.0"}, E(HL7, "id"), E(HL7, "creationTime")
    )
    transport.answer = (200, "application/soap+xml; charset=UTF-8", respond(operation, body))
    answer = call(connection, Transaction.ITI_55)
    assert answer.ITSVersion == "XML_1.0"
    assert [etree.QName(one).localname for one in answer._value_1] == ["id", "creationTime"]


def test_zeep_reads_a_query_answer_with_an_error_and_a_document():
    connection, transport = client(Transaction.ITI_38)
    operation = OPERATIONS[Transaction.ITI_38]
    error = E(RS, "RegistryError", {"errorCode": "XDSRegistryError", "codeContext": "x"})
    body = E(
        operation.response[1:].partition("}")[0],
        "AdhocQueryResponse",
        {"status": SUCCESS},
        E(RS, "RegistryErrorList", {}, error),
        E(RIM, "RegistryObjectList", {}, E(RIM, "ExtrinsicObject", {"id": "urn:uuid:1"})),
    )
    transport.answer = (200, "application/soap+xml", respond(operation, body))
    answer = call(connection, Transaction.ITI_38)
    assert answer.status == SUCCESS
    assert answer.RegistryErrorList.RegistryError[0].errorCode == "XDSRegistryError"
    assert [one.get("id") for one in answer.RegistryObjectList._value_1] == ["urn:uuid:1"]


def test_zeep_reads_a_retrieve_answer_with_mtom():
    connection, transport = client(Transaction.ITI_39)
    ids = [
        E(XDSB, name, {}, "1.2.3")
        for name in ("HomeCommunityId", "RepositoryUniqueId", "DocumentUniqueId")
    ]
    document = E(XDSB, "Document", {}, mtom_writer.include("d1@n"))
    body = E(
        XDSB,
        "RetrieveDocumentSetResponse",
        {},
        E(RS, "RegistryResponse", {"status": SUCCESS}),
        E(XDSB, "DocumentResponse", {}, *ids, E(XDSB, "mimeType", {}, "text/xml"), document),
    )
    writer = MtomWriter(boundary="b1", root_cid="root@n")
    message = (
        writer.head(respond(OPERATIONS[Transaction.ITI_39], body)),
        writer.part_head("d1@n", "text/xml"),
        b"<ClinicalDocument/>",
        writer.part_end(),
        writer.tail(),
    )
    transport.answer = (200, writer.content_type, b"".join(message))
    answer = call(connection, Transaction.ITI_39)
    answer = getattr(answer, "root", answer)
    assert answer.RegistryResponse.status == SUCCESS
    assert answer.DocumentResponse[0].Document == b"<ClinicalDocument/>"


def test_zeep_reads_our_faults():
    connection, transport = client(Transaction.ITI_38)
    fault = security_fault()
    data = build_fault(fault, request=Addressing(message_id=OWN_ID), message_id=OWN_ID)
    transport.answer = (fault.http_status, "application/soap+xml", data)
    with pytest.raises(zeep.exceptions.Fault) as caught:
        call(connection, Transaction.ITI_38)
    assert caught.value.message == fault.reason
    assert [one.text for one in caught.value.subcodes] == [fault.subcode]


def test_every_schema_file_is_served_and_no_other():
    files = {
        Path(file.name).name
        for file in resources.files("node.wire.wsdl").iterdir()
        if file.name.endswith(".xsd")
    }
    assert files == SCHEMAS
    assert schema_document("../names.py", ADDRESS) is None
    assert schema_document("iti-38.wsdl", ADDRESS) is None


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_valid_xml_schema_and_import_from_the_same_address(name):
    document = schema_document(name, ADDRESS)
    assert document is not None
    imports = etree.fromstring(document).iter("{http://www.w3.org/2001/XMLSchema}import")
    for one in imports:
        assert one.get("schemaLocation").startswith(f"{ADDRESS}?xsd=")
    with resources.as_file(resources.files("node.wire.wsdl").joinpath(name)) as path:
        etree.XMLSchema(etree.parse(path))


def test_the_address_is_written_as_xml():
    document = wsdl_document(Transaction.ITI_38, "https://node.example/a&b")
    assert b'location="https://node.example/a&amp;b"' in document


@pytest.mark.parametrize("address", ["", "node.example", "https://n.example/?wsdl", "file:///x"])
def test_an_address_that_is_no_endpoint_is_our_fault(address):
    with pytest.raises(OurFault):
        wsdl_document(Transaction.ITI_38, address)
