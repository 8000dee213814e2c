"""What a FHIR request asks for, by method, path, headers and form (FHIR R4 3.1.0). Pure.

==================================  ===========================================================
``GET  metadata``                   what the server does; needs no token
``GET  [type]/[id]``                read
``GET  [type]/[id]/_history/[v]``   vread, of the version that is held
``GET  [type]?...``                 search
``POST [type]/_search``             search, parameters as a form
``POST Patient/$match``             who is this
``GET, POST DocumentReference/$docref``  documents of a patient
==================================  ===========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from node.exchange.fhir_binary import BinaryForm
from node.model import Interaction
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair
from node.wire.fhir.references import is_type_name

FORM = "application/x-www-form-urlencoded"
MAX_PAIRS = 100

RESOURCES = ("application/fhir+json", "application/json")
_AUDIT = "AuditEvent"
"""The log: to read it is an interaction of its own."""

_RESOURCE = 2
"""Parts of the path of one resource."""

_JSON = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_ANY = frozenset({"*/*", "application/*"})
_UUID = re.compile(
    r"(?:urn:uuid:)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request leads.

    Attributes:
        interaction: what it is.
        type: the resource type in its path.
        id, version: of a read.
        takes: the media types of its body, where it has one.
        brings_documents: whether that may be large.
    """

    interaction: Interaction
    type: str = ""
    id: str = ""
    version: str | None = None
    takes: tuple[str, ...] = ()
    brings_documents: bool = False


def route(method: str, path: str) -> Route:
    """The route of a request.

    Args:
        method: of HTTP.
        path: below the base address, without a slash in front.

    Raises:
        FhirProblem: ``fhir-method-unsupported``, ``fhir-operation-unknown``, ``fhir-type-unknown``.
    """
    if method not in ("GET", "POST"):
        raise FhirProblem("fhir-method-unsupported", "The server only answers GET and POST.")
    parts = path.split("/")
    if not path and method == "POST":
        raise FhirProblem("fhir-operation-unknown", "The server takes no batch and no transaction.")
    if not is_type_name(parts[0]):
        raise FhirProblem("fhir-operation-unknown", "There is nothing at this address.")
    found = _reading(parts) if method == "GET" else _posting(parts)
    if found is None and method == "POST" and len(parts) <= _RESOURCE:
        raise FhirProblem("fhir-method-unsupported", "The server takes no resources here.")
    if found is None:
        raise FhirProblem("fhir-operation-unknown", "The server has no such operation.")
    return replace(found, interaction=Interaction.AUDIT) if found.type == _AUDIT else found


def _reading(parts: list[str]) -> Route | None:
    match parts:
        case [type_]:
            return Route(interaction=Interaction.SEARCH, type=type_)
        case ["DocumentReference", "$docref"]:
            return Route(interaction=Interaction.DOCREF, type="DocumentReference")
        case [type_, id_] if id_[:1] not in ("_", "$"):
            return Route(interaction=Interaction.READ, type=type_, id=id_)
        case [type_, id_, "_history", version] if version:
            return Route(interaction=Interaction.READ, type=type_, id=id_, version=version)
    return None


def _posting(parts: list[str]) -> Route | None:
    match parts:
        case [type_, "_search"]:
            return Route(interaction=Interaction.SEARCH, type=type_, takes=(FORM,))
        case ["Patient", "$match"]:
            return Route(interaction=Interaction.MATCH, type="Patient", takes=RESOURCES)
        case ["DocumentReference", "$docref"]:
            return Route(interaction=Interaction.DOCREF, type="DocumentReference", takes=RESOURCES)
    return None


def read_pairs(text: str) -> list[Pair]:
    """The parameters of a query string or a form.

    Raises:
        FhirProblem: ``fhir-value-invalid`` for what cannot be decoded, ``fhir-search-limit``.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PAIRS)
    except UnicodeDecodeError:
        raise FhirProblem("fhir-value-invalid", "The parameters are not in UTF-8.") from None
    except ValueError:
        raise FhirProblem(
            "fhir-search-limit", f"There are more than {MAX_PAIRS} parameters."
        ) from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise FhirProblem("fhir-value-invalid", "A parameter has a character that none may have.")
    return pairs


def read_form(body: bytes) -> list[Pair]:
    """The parameters of a form.

    Raises:
        FhirProblem: as ``read_pairs``.
    """
    try:
        return read_pairs(body.decode())
    except UnicodeDecodeError:
        raise FhirProblem("fhir-value-invalid", "The parameters are not in UTF-8.") from None


def check_format(headers: Mapping[str, str], pairs: list[Pair]) -> None:
    """Refuse whoever wants another format than JSON (``_format`` wins over ``Accept``).

    Raises:
        FhirProblem: ``fhir-format-unsupported``.
    """
    formats = [value.replace(" ", "+") for name, value in pairs if name == "_format"]
    wanted = formats or headers.get("accept", "*/*").split(",")
    if not any(_media(each) in _JSON | _ANY for each in wanted):
        raise FhirProblem("fhir-format-unsupported", "The server answers in JSON alone.")


def binary_form(headers: Mapping[str, str], pairs: list[Pair]) -> BinaryForm:
    """In what form a Binary is wanted (FHIR R4 2.42.3): a resource, or what it holds."""
    accepted = {_media(each) for each in headers.get("accept", "*/*").split(",")} - {""}
    if any(name == "_format" for name, _ in pairs) or accepted & _JSON:
        check_format(headers, pairs)
        return BinaryForm(is_resource=True)
    return BinaryForm(accepted=frozenset(accepted or _ANY))


def check_content_type(headers: Mapping[str, str], takes: tuple[str, ...]) -> None:
    """Refuse a body of another media type.

    Raises:
        FhirProblem: ``fhir-content-type-unsupported``.
    """
    if _media(headers.get("content-type", "")) not in takes:
        raise FhirProblem(
            "fhir-content-type-unsupported", f"The body must be {' or '.join(takes)}."
        )


def is_strict(headers: Mapping[str, str]) -> bool:
    """Whether the client wants an error for what is not understood (FHIR R4 3.1.1.1.1)."""
    return "handling=strict" in headers.get("prefer", "").replace(" ", "").lower()


def request_id(headers: Mapping[str, str]) -> str | None:
    """``X-Request-Id`` as ``urn:uuid:``; any other text is not repeated."""
    found = _UUID.fullmatch(headers.get("x-request-id", "").lower())
    return f"urn:uuid:{found[1]}" if found else None


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of ``Authorization``, or ``None``."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _media(text: str) -> str:
    return text.partition(";")[0].strip().lower()
