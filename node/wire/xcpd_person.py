"""The person inside an ITI-55 answer: a registrationEvent's patient as ``Match``, both ways.

Only what ``Match`` holds is written: nothing of the query's demographics gets into an answer
(QTF-716, 1511).

Source: ITI TF-2 3.55.4.2.2; facts ihe-wire 2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lxml import etree

from node.errors import LimitError, WireError
from node.model import Demographics, HomeCommunityId, Match, PatientId, PersonName
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import Group, add, first, grouped, value_of
from node.wire.hl7v3 import (
    XSI_TYPE,
    attribute,
    build_address,
    build_name,
    build_patient_id,
    build_telecom,
    code_of,
    hl7,
    parse_address,
    parse_birth_date,
    parse_home,
    parse_name,
    parse_patient_id,
    parse_sex,
    parse_telecom,
)
from node.wire.hl7v3_codes import vocabulary
from node.wire.identifiers import bare_oid

__all__ = ["build_registration", "parse_registration"]

_MAX_VALUES = 100
_T = TypeVar("_T")


# --- writing ----------------------------------------------------------------------------------


def build_registration(process: etree._Element, match: Match, organization: str) -> None:
    """Append one ``subject`` with a registrationEvent, in schema order.

    The custodian is the HCID of the community that holds the patient, bare, with
    ``NotHealthDataLocator`` always (QTF-713); there is exactly one patient id (QTF-714). An unknown
    score is a null value, since the schema wants a queryMatchObservation.
    """
    known = vocabulary()
    subject = add(process, hl7("subject"), typeCode="SUBJ", contextConductionInd="false")
    event = add(subject, hl7("registrationEvent"), classCode="REG", moodCode="EVN")
    add(event, hl7("id"), nullFlavor="NA")
    add(event, hl7("statusCode"), code="active")
    holder = add(event, hl7("subject1"), typeCode="SBJ")
    patient = add(holder, hl7("patient"), classCode="PAT")
    build_patient_id(patient, "id", match.patient_id)
    add(patient, hl7("statusCode"), code="active")
    _build_person(patient, match)
    provider = add(patient, hl7("providerOrganization"), classCode="ORG", determinerCode="INSTANCE")
    add(provider, hl7("id"), root=match.patient_id.assigning_authority)
    add(provider, hl7("name"), match.organization_name or organization)
    add(provider, hl7("contactParty"), classCode="CON")
    observed = add(patient, hl7("subjectOf1"))
    observation = add(observed, hl7("queryMatchObservation"), classCode="OBS", moodCode="EVN")
    add(observation, hl7("code"), code=known.codes["match_observation"])
    score = str(match.score) if match.score is not None else None
    value = add(observation, hl7("value"), value=score, nullFlavor="NI" if score is None else None)
    value.set(XSI_TYPE, "INT")
    custodian = add(event, hl7("custodian"), typeCode="CST")
    entity = add(custodian, hl7("assignedEntity"), classCode="ASSIGNED")
    add(entity, hl7("id"), root=bare_oid(match.home_community_id))
    add(
        entity,
        hl7("code"),
        code=known.codes["not_locator"],
        codeSystem=known.systems["locator"],
    )


def _build_person(patient: etree._Element, match: Match) -> None:
    known = vocabulary()
    held = match.demographics
    person = add(patient, hl7("patientPerson"), classCode="PSN", determinerCode="INSTANCE")
    for name in held.names:
        build_name(person, "name", name)
    if not held.names:
        add(person, hl7("name"), nullFlavor="NI")  # the schema wants one
    for telecom in held.telecoms:
        build_telecom(person, "telecom", telecom)
    if held.sex is not None:
        system = known.systems["gender"]
        add(person, hl7("administrativeGenderCode"), code=held.sex, codeSystem=system)
    if held.birth_date is not None:
        add(person, hl7("birthTime"), value=held.birth_date)
    for address in held.addresses:
        build_address(person, "addr", address)
    _build_other_ids(person, match)
    if held.mothers_maiden_name is not None:
        _build_mother(person, held.mothers_maiden_name)
    if held.birth_place is not None:
        place = add(person, hl7("birthPlace"), classCode="BIRTHPL")
        build_address(place, "addr", held.birth_place)


def _build_other_ids(person: etree._Element, match: Match) -> None:
    for identifier in match.demographics.identifiers:
        if identifier == match.patient_id:
            continue
        is_ssn = identifier.assigning_authority == vocabulary().systems["ssn"]
        element = add(person, hl7("asOtherIDs"), classCode="CIT" if is_ssn else "PAT")
        build_patient_id(element, "id", identifier)
        scope = add(element, hl7("scopingOrganization"), classCode="ORG", determinerCode="INSTANCE")
        add(scope, hl7("id"), root=identifier.assigning_authority)


def _build_mother(person: etree._Element, name: PersonName) -> None:
    known = vocabulary()
    relation = add(person, hl7("personalRelationship"), classCode="PRS")
    add(
        relation,
        hl7("code"),
        code=known.codes["mother"],
        codeSystem=known.systems["relationship"],
    )
    holder = add(relation, hl7("relationshipHolder1"), classCode="PSN", determinerCode="INSTANCE")
    build_name(holder, "name", name)


# --- reading ----------------------------------------------------------------------------------


def parse_registration(
    subject: etree._Element, sender: HomeCommunityId | None, deviations: Deviations
) -> Match | None:
    """One ``subject`` as a match, or ``None`` (counted) when it names no patient or no community.

    Args:
        subject: the element.
        sender: the HCID that answered, taken where the event has no custodian of its own.
        deviations: collects what was tolerated.
    """
    event = grouped(first(grouped(subject), "registrationEvent"))
    patient = grouped(first(grouped(first(event, "subject1")), "patient"))
    ids = [
        identifier
        for element in patient.get("id", ())
        if (identifier := parse_patient_id(element, deviations)) is not None
    ]
    status = first(patient, "statusCode")
    if status is not None:
        code_of(status, deviations)
    home = _custodian(event, deviations)
    if home is None and sender is not None:
        deviations.add(ContentDeviation.HOME_COMMUNITY_FALLBACK)
        home = sender
    if not ids or home is None:
        deviations.add(ContentDeviation.MATCH_UNUSABLE)
        return None
    if len(ids) > 1:
        deviations.add(ContentDeviation.SEVERAL_PATIENT_IDS)
    provider = grouped(first(patient, "providerOrganization"))
    return Match(
        patient_id=ids[0],
        home_community_id=home,
        demographics=_person(first(patient, "patientPerson"), ids[1:], deviations),
        score=_score(patient, deviations),
        organization_name=value_of(first(provider, "name")),
    )


def _custodian(event: Group, deviations: Deviations) -> HomeCommunityId | None:
    entity = grouped(first(grouped(first(event, "custodian")), "assignedEntity"))
    code = code_of(first(entity, "code"), deviations)
    if code is None:
        deviations.add(ContentDeviation.LOCATOR_CODE_MISSING)
    elif code != vocabulary().codes["not_locator"]:
        deviations.add(ContentDeviation.HEALTH_DATA_LOCATOR)
    try:
        return parse_home(first(entity, "id"), deviations)
    except WireError:
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
        return None


def _score(patient: Group, deviations: Deviations) -> int | None:
    observation = grouped(first(grouped(first(patient, "subjectOf1")), "queryMatchObservation"))
    value = first(observation, "value")
    if value is None:
        deviations.add(ContentDeviation.MATCH_OBSERVATION_MISSING)
        return None
    raw = attribute(value, "value", deviations)
    if raw is None or not (raw.isascii() and raw.isdigit() and len(raw) <= 3):  # noqa: PLR2004 - 0..100
        return None
    return min(int(raw), 100)


def _person(
    element: etree._Element | None, other_ids: list[PatientId], deviations: Deviations
) -> Demographics:
    person = grouped(element)
    for name in ("name", "telecom", "addr", "asOtherIDs"):
        if len(person.get(name, ())) > _MAX_VALUES:
            raise LimitError(
                "too-many-values",
                f"A person has more than {_MAX_VALUES} values of one kind.",
                where=f"patientPerson/{name}",
            )
    held = [
        identifier
        for holder in person.get("asOtherIDs", ())
        for child in grouped(holder).get("id", ())
        if (identifier := parse_patient_id(child, deviations)) is not None
    ]
    place = grouped(first(person, "birthPlace"))
    return Demographics(
        names=_all(person, "name", parse_name, deviations),
        birth_date=parse_birth_date(first(person, "birthTime"), deviations),
        sex=parse_sex(first(person, "administrativeGenderCode"), deviations),
        addresses=_all(person, "addr", parse_address, deviations),
        telecoms=_all(person, "telecom", parse_telecom, deviations),
        identifiers=(*other_ids, *held),
        mothers_maiden_name=_mother(person, deviations),
        birth_place=parse_address(first(place, "addr"), deviations),
    )


def _mother(person: Group, deviations: Deviations) -> PersonName | None:
    for element in person.get("personalRelationship", ()):
        relation = grouped(element)
        code = first(relation, "code")
        if code is not None and code.get("code") == vocabulary().codes["mother"]:
            return parse_name(
                first(grouped(first(relation, "relationshipHolder1")), "name"), deviations
            )
    return None


def _all(
    group: Group,
    name: str,
    parse: Callable[[etree._Element | None, Deviations], _T | None],
    deviations: Deviations,
) -> tuple[_T, ...]:
    found = (parse(element, deviations) for element in group.get(name, ()))
    return tuple(value for value in found if value is not None)
