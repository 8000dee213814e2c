"""Names that the standards fix for every message: namespaces, actions, body elements, deviations.

Structural constants only (DESIGN law 8 keeps codes and OIDs in data files). Qualified names are in
Clark notation, ``{namespace}local``, which is what lxml uses.

Sources: W3C SOAP 1.2, W3C WS-Addressing 1.0, OASIS WSS 1.1, IHE ITI TF-2 3.38, 3.39, 3.55, 3.80.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.model import Transaction

SOAP = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSSE_11 = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
XML = "http://www.w3.org/XML/1998/namespace"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XOP = "http://www.w3.org/2004/08/xop/include"
HL7 = "urn:hl7-org:v3"
XDSB = "urn:ihe:iti:xds-b:2007"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"

PREFIXES = {
    "soap": SOAP,
    "wsa": WSA,
    "wsse": WSSE,
    "wsse11": WSSE_11,
    "wsu": WSU,
    "xsi": XSI,
    "xop": XOP,
    "hl7": HL7,
    "ihe": XDSB,
    "query": QUERY,
    "rim": RIM,
    "rs": RS,
    "lcm": LCM,
}
"""The prefixes we write; on input prefixes mean nothing."""

ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
NO_REPLY = "http://www.w3.org/2005/08/addressing/none"
RELATIONSHIP_REPLY = "http://www.w3.org/2005/08/addressing/reply"
WSA_FAULT_ACTION = "http://www.w3.org/2005/08/addressing/fault"
SOAP_FAULT_ACTION = "http://www.w3.org/2005/08/addressing/soap/fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The fixed names of one synchronous transaction.

    ``request`` and ``response`` are the qualified names of the two body elements; ``mtom`` says
    whether both messages travel as MTOM (ITI TF-2 3.38.4.1.2.1, 3.39.4.1.2.1, 3.55.4.1.2; facts:
    ihe-wire 1 for ITI-80).
    """

    transaction: Transaction
    request_action: str
    response_action: str
    request: str
    response: str
    mtom: bool


OPERATIONS: dict[Transaction, Operation] = {
    Transaction.ITI_55: Operation(
        transaction=Transaction.ITI_55,
        request_action="urn:hl7-org:v3:PRPA_IN201305UV02:CrossGatewayPatientDiscovery",
        response_action="urn:hl7-org:v3:PRPA_IN201306UV02:CrossGatewayPatientDiscovery",
        request=f"{{{HL7}}}PRPA_IN201305UV02",
        response=f"{{{HL7}}}PRPA_IN201306UV02",
        mtom=False,
    ),
    Transaction.ITI_38: Operation(
        transaction=Transaction.ITI_38,
        request_action="urn:ihe:iti:2007:CrossGatewayQuery",
        response_action="urn:ihe:iti:2007:CrossGatewayQueryResponse",
        request=f"{{{QUERY}}}AdhocQueryRequest",
        response=f"{{{QUERY}}}AdhocQueryResponse",
        mtom=False,
    ),
    Transaction.ITI_39: Operation(
        transaction=Transaction.ITI_39,
        request_action="urn:ihe:iti:2007:CrossGatewayRetrieve",
        response_action="urn:ihe:iti:2007:CrossGatewayRetrieveResponse",
        request=f"{{{XDSB}}}RetrieveDocumentSetRequest",
        response=f"{{{XDSB}}}RetrieveDocumentSetResponse",
        mtom=True,
    ),
    Transaction.ITI_80: Operation(
        transaction=Transaction.ITI_80,
        request_action="urn:ihe:iti:2015:CrossGatewayDocumentProvide",
        response_action="urn:ihe:iti:2015:CrossGatewayDocumentProvideResponse",
        request=f"{{{XDSB}}}ProvideAndRegisterDocumentSetRequest",
        response=f"{{{RS}}}RegistryResponse",
        mtom=True,
    ),
}


class Deviation(StrEnum):
    """Tolerated departures from the SOAP layer's rules, counted per peer (DESIGN law 4)."""

    MUST_UNDERSTAND_UNQUALIFIED = "must-understand-unqualified"
    MUST_UNDERSTAND_VALUE = "must-understand-value"
    HEADER_WHITESPACE = "header-whitespace"
    ADDRESSING_NAMESPACE = "addressing-namespace"
    ACTION_MISSING = "action-missing"
    ACTION_UNEXPECTED = "action-unexpected"
    MESSAGE_ID_MISSING = "message-id-missing"
    MESSAGE_ID_FORM = "message-id-form"
    TO_MISSING = "to-missing"
    RELATES_TO_MISSING = "relates-to-missing"
    RELATES_TO_FORM = "relates-to-form"
    BODY_NAMESPACE = "body-namespace"
    TEXT_BESIDE_BODY = "text-beside-body"
    FAULT_CODE_UNQUALIFIED = "fault-code-unqualified"
    FAULT_REASON_MISSING = "fault-reason-missing"
    FAULT_SOAP_11 = "fault-soap-1.1"
    CONTENT_TYPE = "content-type"
    MTOM_BOUNDARY = "mtom-boundary-mismatch"
    MTOM_START = "mtom-start-mismatch"
    MTOM_BARE_LF = "mtom-bare-line-feed"
    MTOM_BASE64 = "mtom-base64-part"
    MTOM_NOT_USED = "mtom-not-used"
    MTOM_NOT_EXPECTED = "mtom-not-expected"
    DOCUMENT_INLINE = "document-inline"
    DOCUMENT_UNENCODED = "document-unencoded"
