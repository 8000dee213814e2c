"""The question of an entry, written anew from the private group ``query``. Pure.

ATNA and BALP want the question itself: ``queryByParameter`` of ITI-55, ``AdhocQueryRequest`` of
ITI-38. The ledger keeps what was asked, not the message's bytes (their digest is in ``c_req``), so
this is the same question in our own writing: what the group does not hold (query id, priority,
return type) is not in it, or is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final
from urllib.parse import urlencode

from node.errors import CodedError
from node.model import (
    Address,
    Demographics,
    HomeCommunityId,
    Interaction,
    PatientId,
    PersonName,
    StoredQuery,
    Telecom,
)
from node.wire.audit_event import Query
from node.wire.elements import add, new_root
from node.wire.identifiers import parse_cx
from node.wire.names import HL7
from node.wire.printable import printable
from node.wire.stored_query import build_adhoc_query
from node.wire.xcpd_parameters import build_parameters
from node.wire.xml import serialize

Group = Mapping[str, Any]


def discovery_of(group: Group, *, message_id: str, home: str | None) -> Query | None:
    """The question of ITI-55; ``None`` when the group holds none."""
    held = group.get("demographics")
    if not isinstance(held, dict):
        return None
    root = new_root(f"{{{HL7}}}queryByParameter", {None: HL7})
    build_parameters(add(root, f"{{{HL7}}}parameterList"), _demographics(held))
    return Query(id=message_id, raw=serialize(root), home_community_id=home)


def stored_query_of(group: Group, *, home: str | None) -> Query | None:
    """The question of ITI-38; ``None`` when the group holds none."""
    if not isinstance(group.get("id"), str):
        return None
    query = StoredQuery(
        id=printable(group["id"]),
        parameters=tuple(
            (printable(name), tuple(printable(value) for value in values))
            for name, values in group.get("parameters", ())
        ),
        home=HomeCommunityId(home) if home else None,
    )
    try:
        element = build_adhoc_query(query)
    except CodedError:
        # a peer's value that we would not send ourselves: nothing is left of the parameters then
        element = build_adhoc_query(StoredQuery(id=query.id, home=query.home))
    return Query(id=query.id, raw=serialize(element), home_community_id=home)


def search_of(group: Group, transaction: str) -> Query | None:
    """A FHIR question behind the base address; ``None`` when the group names no type.

    The parameters of a form stand in it like those of an address.
    """
    type_, parameters = group.get("type"), group.get("parameters", ())
    if "demographics" in group:
        type_ = "Patient"  # of a $match that was sent, who was looked for is kept and not the body
    if not isinstance(type_, str) or not type_:
        return None
    asked = f"{type_}{FHIR_QUESTIONS.get(transaction, '')}"
    if parameters:
        asked += "?" + urlencode([(str(name), str(value)) for name, value in parameters])
    return Query(id=printable(type_), raw=asked.encode())


def resource_of(group: Group) -> str | None:
    """The one resource that was asked for, ``Type/id``."""
    type_, id_ = group.get("type"), group.get("id")
    return f"{type_}/{id_}" if isinstance(type_, str) and isinstance(id_, str) else None


FHIR_QUESTIONS: Final[Mapping[str, str]] = {
    Interaction.SEARCH: "",
    Interaction.MATCH: "/$match",
    Interaction.DOCREF: "/$docref",
    Interaction.NETWORK_PATIENTS: "",
    Interaction.NETWORK_MATCH: "/$match",
    Interaction.NETWORK_IDENTIFIERS: "/$ihe-pix",
    Interaction.NETWORK_DOCUMENTS: "",
}
"""The interactions that ask a question, each with its operation behind the type."""


_PATIENT: Final = "Patient/"


def patients_in(group: Group) -> tuple[PatientId, ...]:
    """The patients that a stored query names."""
    found: list[PatientId] = []
    for _, values in group.get("parameters", ()):
        found.extend(p for v in values if "^^^&" in v and (p := patient_of(v)) is not None)
    return tuple(dict.fromkeys(found))


def patient_of(cx: str) -> PatientId | None:
    """A patient id of the ledger; ``None`` for a text that is none.

    ``Patient/id`` of a peer's FHIR server stands without an assigning authority.
    """
    if cx.startswith(_PATIENT):
        return PatientId(assigning_authority="", id=cx)
    try:
        return parse_cx(cx)
    except CodedError:
        return None


def _demographics(held: Group) -> Demographics:
    """Back from what ``node.exchange.private`` made of them; unknown names are passed over."""
    found: dict[str, Any] = {
        name: printable(held[name]) for name in ("birth_date", "sex") if name in held
    }
    found |= {
        name: tuple(_made(kind, each) for each in held.get(name, ()))
        for name, kind in (
            ("names", PersonName),
            ("addresses", Address),
            ("telecoms", Telecom),
            ("identifiers", PatientId),
        )
    }
    for name, kind in (("mothers_maiden_name", PersonName), ("birth_place", Address)):
        if name in held:
            found[name] = _made(kind, held[name])
    return Demographics(**found)


def _made(kind: type, held: Group) -> Any:
    names = {field.name for field in fields(kind)}
    return kind(**{name: _plain(value) for name, value in held.items() if name in names})


def _plain(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    return tuple(printable(str(each)) for each in value) if isinstance(value, list) else value
