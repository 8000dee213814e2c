"""The WSDL of each transaction this node answers, and the schemas they use.

The files beside this module are our own: they describe what the responding gateway takes and gives
(SOAP 1.2, document/literal, WS-Addressing), with the content of HL7 V3 messages and registry
objects left open, since those schemas belong to HL7 and OASIS.
"""

from __future__ import annotations

from node.wire.wsdl.documents import SCHEMAS, schema_document, wsdl_document

__all__ = ["SCHEMAS", "schema_document", "wsdl_document"]
