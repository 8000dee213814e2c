"""Serving the WSDL and schema files with the address of the endpoint in them.

A file names the schemas it imports by file name, so that it can be read from disk; served, each
import becomes ``{address}?xsd={file name}``, and the port's address becomes that of the endpoint.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from lxml import etree

from node.errors import OurFault
from node.model import Transaction
from node.wire.xml import parse

_XS_IMPORT = "{http://www.w3.org/2001/XMLSchema}import"
_SOAP_ADDRESS = "{http://schemas.xmlsoap.org/wsdl/soap12/}address"

SCHEMAS = frozenset(
    {
        "discovery.xsd",
        "lcm.xsd",
        "provide.xsd",
        "query.xsd",
        "retrieve.xsd",
        "rim.xsd",
        "rs.xsd",
    }
)
"""The names under which schemas are served."""


def wsdl_document(transaction: Transaction, address: str) -> bytes:
    """The WSDL 1.1 of a transaction's responding gateway, to be served at ``{address}?wsdl``.

    Args:
        transaction: whose endpoint it describes.
        address: absolute URL of the endpoint as its clients reach it, without query.

    Raises:
        OurFault: ``wsdl-address-invalid`` when the address is no absolute http(s) URL.
    """
    return _with_address(f"{transaction.lower()}.wsdl", address)


def schema_document(name: str, address: str) -> bytes | None:
    """A schema by its name, to be served at ``{address}?xsd={name}``; ``None`` for other names.

    Raises:
        OurFault: ``wsdl-address-invalid`` when the address is no absolute http(s) URL.
    """
    return _with_address(name, address) if name in SCHEMAS else None


@lru_cache(maxsize=64)
def _with_address(file: str, address: str) -> bytes:
    if not address.startswith(("https://", "http://")) or "?" in address or "#" in address:
        raise OurFault("wsdl-address-invalid", "An endpoint's address is no URL without query.")
    root = parse(resources.files(__package__).joinpath(file).read_bytes())
    for element in root.iter(_XS_IMPORT):
        element.set("schemaLocation", f"{address}?xsd={element.get('schemaLocation')}")
    for element in root.iter(_SOAP_ADDRESS):
        element.set("location", address)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
