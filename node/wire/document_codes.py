"""Code tables of document metadata (``data/documents.toml``) and the choices they decide."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from node.model import Code
from node.wire.identifiers import is_oid


@lru_cache
def _tables() -> dict[str, Any]:
    data = resources.files("node.wire").joinpath("data/documents.toml")
    return tomllib.loads(data.read_text(encoding="utf-8"))


def system(name: str) -> str:
    """The OID of a code system or identifier system by its short name.

    Raises:
        KeyError: when the data file does not name it.
    """
    return str(_tables()["systems"][name])


def assumed(name: str) -> str:
    """What stands in for metadata that is required and that a document left out."""
    return str(_tables()["assumed"][name])


def bundle(name: str) -> str:
    """``type`` or ``title`` of a FHIR bundle as a document."""
    return str(_tables()["bundle"][name])


def fhir_system(uri: str) -> str:
    """The OID that stands for a FHIR identifier or code system URI.

    ``urn:oid:`` loses its prefix; a URI that the data file does not list gets a name-based OID
    below 2.25, so that ids of one system stay together on every node.
    """
    listed = _tables()["fhir_system"].get(uri)
    if listed is not None:
        return str(listed)
    bare = uri.removeprefix("urn:oid:")
    return bare if bare != uri and is_oid(bare) else f"2.25.{uuid5(NAMESPACE_URL, uri).int}"


def fhir_uri(scheme: str) -> str:
    """The URI by which FHIR names a code or identifier system that we keep as an OID."""
    known = {oid: uri for uri, oid in _tables()["fhir_system"].items()}.get(scheme)
    return str(known) if known else f"urn:oid:{scheme}" if is_oid(scheme) else scheme


def fhir_gender(code: object) -> str | None:
    """HL7 v3 gender of a FHIR one, or ``None`` when it is unknown."""
    return _tables()["fhir_gender"].get(code) if isinstance(code, str) else None


def type_code(code: str, display: str | None = None) -> Code:
    """A document type (LOINC) with the text a person reads."""
    row = _tables()["type"].get(code)
    return Code(code=code, scheme=system("loinc"), display=row["display"] if row else display)


def class_code(type_: Code) -> Code:
    """The class of a document type; a type without a row, or not in LOINC, is its own class."""
    row = _tables()["type"].get(type_.code) if type_.scheme == system("loinc") else None
    return type_code(row["class"]) if row else type_


def template_type(roots: Iterable[str]) -> Code | None:
    """The document type that a document's templates imply, or ``None``."""
    table = _tables()["template_type"]
    return next((type_code(table[root]) for root in roots if root in table), None)


def confidentiality(code: str, scheme: str | None = None) -> Code:
    """A confidentiality code with its text; value set ids become the code system."""
    tables = _tables()
    wanted = tables["same_system"].get(scheme, scheme) or system("confidentiality")
    return Code(code=code, scheme=wanted, display=tables["confidentiality"].get(code))


def format_code(templates: Iterable[tuple[str, str | None]], *, structured: bool) -> Code:
    """The format code that a CDA document's templates (root, extension) imply."""
    claimed = list(templates)
    tables = _tables()
    roots = {root for root, _ in claimed}
    exact = next((v for root, v in tables["format_template"].items() if root in roots), None)
    ccda = [ext for root, ext in claimed if root.startswith(tables["ccda"]["root"])]
    if ccda:
        kind = tables["ccda"]["structured" if structured else "unstructured"]
        return _format(kind["new" if any(ccda) else "old"])
    return _format(exact or tables["format"]["other"])


def plain_format() -> Code:
    """The format code that says nothing beyond the mime type."""
    return _format(_tables()["format"]["other"])


def _format(code: str) -> Code:
    return Code(code=code, scheme=system("format"), display=code)
