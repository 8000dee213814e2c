"""Where a request to the network's FHIR address leads, by method and path. Pure.

====================================  ==========================================================
``GET  metadata``                     what it does; needs no token
``GET  Patient?...``                  who is this (ITI-78); ``POST Patient/_search`` as well
``POST Patient/$match``               who is this (ITI-119)
``GET, POST Patient/$ihe-pix``        what others call this patient (ITI-83)
``GET  Patient/[id]``                 a network patient
``GET  DocumentReference?...``        documents (ITI-67); ``POST DocumentReference/_search`` too
``GET, POST DocumentReference/$docref``  documents by type and time (US Core)
``POST [base]``                       publish documents (ITI-65)
``GET  document/[link]``              a document's bytes (ITI-68)
====================================  ==========================================================
"""

from __future__ import annotations

from node.gateway.fhir.requests import FORM, RESOURCES, Route
from node.model import Interaction
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.references import is_type_name

_SEARCHES = {
    "Patient": Interaction.NETWORK_PATIENTS,
    "DocumentReference": Interaction.NETWORK_DOCUMENTS,
}


def network_route(method: str, path: str) -> Route:
    """The route of a request below ``/network/``.

    Raises:
        FhirProblem: ``fhir-method-unsupported``, ``fhir-operation-unknown``.
    """
    if method not in ("GET", "POST"):
        raise FhirProblem("fhir-method-unsupported", "The server only answers GET and POST.")
    parts = path.split("/")
    found = _reading(parts) if method == "GET" else _posting(parts)
    if found is None:
        raise FhirProblem("fhir-operation-unknown", "There is nothing at this address.")
    return found


def _reading(parts: list[str]) -> Route | None:
    match parts:
        case ["Patient", "$ihe-pix"]:
            return Route(interaction=Interaction.NETWORK_IDENTIFIERS, type="Patient")
        case ["DocumentReference", "$docref"]:
            return Route(interaction=Interaction.DOCREF, type="DocumentReference")
        case ["document", link] if link:
            return Route(interaction=Interaction.NETWORK_DOCUMENT, type="Binary", id=link)
        case [type_] if is_type_name(type_):
            return Route(interaction=_SEARCHES.get(type_, Interaction.SEARCH), type=type_)
        case [type_, id_] if is_type_name(type_) and id_[:1] not in ("_", "$", ""):
            return Route(interaction=Interaction.READ, type=type_, id=id_)
    return None


def _posting(parts: list[str]) -> Route | None:
    match parts:
        case [""]:
            return Route(
                interaction=Interaction.PUBLISH,
                type="Bundle",
                takes=RESOURCES,
                brings_documents=True,
            )
        case ["Patient", "$match"]:
            return Route(interaction=Interaction.NETWORK_MATCH, type="Patient", takes=RESOURCES)
        case ["Patient", "$ihe-pix"]:
            return Route(
                interaction=Interaction.NETWORK_IDENTIFIERS, type="Patient", takes=RESOURCES
            )
        case ["DocumentReference", "$docref"]:
            return Route(interaction=Interaction.DOCREF, type="DocumentReference", takes=RESOURCES)
        case [type_, "_search"] if is_type_name(type_):
            return Route(
                interaction=_SEARCHES.get(type_, Interaction.SEARCH), type=type_, takes=(FORM,)
            )
    return None
