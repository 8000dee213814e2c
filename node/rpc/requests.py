"""Reads the service's requests into values; what makes no sense is refused before anybody is asked.

A wrong field is told to the caller by its name, never by its value: statuses end up in logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from node.errors import WireError
from node.exchange.initiate import KnownPatient
from node.exchange.network_ports import KnownAt
from node.exchange.questions import DocumentSearch
from node.model import Demographics, DocumentRef, HomeCommunityId, PatientId
from node.rpc import convert
from node.wire.fhir.references import is_id
from node.wire.identifiers import home_community_id, is_oid
from node.wire.timestamps import parse_date, parse_time
from trust.saml_check import is_npi
from trust.udap.id_token import MAX_BYTES as MAX_ID_TOKEN

_SEXES = ("", "M", "F", "UN")


class InvalidRequest(Exception):
    """A request that cannot be meant; ``sentence`` is for the caller."""

    def __init__(self, sentence: str) -> None:
        """The sentence must not hold anything of the request's values."""
        super().__init__(sentence)
        self.sentence = sentence


def check_user(principal: Any) -> None:
    """Demand a user, and an NPI that is one where there is one."""
    if not principal.user_id or not principal.subject_id:
        raise InvalidRequest("The request names no user (principal.user_id, subject_id).")
    if principal.npi and not is_npi(principal.npi):
        raise InvalidRequest("principal.npi has to be ten digits that check.")
    if len(principal.id_token) > MAX_ID_TOKEN:
        raise InvalidRequest(f"principal.id_token is longer than {MAX_ID_TOKEN} characters.")


def read_person(message: Any) -> Demographics:
    """The person asked about: by name or by an identifier, with dates that exist."""
    person = convert.to_demographics(message)
    if not any(name.family or name.given for name in person.names) and not person.identifiers:
        raise InvalidRequest("The request names neither a person nor an identifier.")
    if message.birth_date and parse_date(message.birth_date) != message.birth_date:
        raise InvalidRequest("demographics.birth_date has to be YYYY, YYYYMM or YYYYMMDD.")
    if message.sex not in _SEXES:
        raise InvalidRequest("demographics.sex has to be M, F or UN.")
    for identifier in person.identifiers:
        _check_patient_id(identifier, "demographics.identifiers")
    return person


def read_targets(texts: Iterable[str]) -> list[HomeCommunityId]:
    """The communities to be asked alone."""
    return [_home(text, "targets") for text in texts]


def read_patients(messages: Iterable[Any]) -> list[KnownPatient]:
    """Where the person is known under which id; at least one."""
    patients = [
        KnownPatient(
            home_community_id=_home(message.home_community_id, "patients.home_community_id"),
            patient_id=convert.to_patient_id(message.patient_id),
        )
        for message in messages
    ]
    if not patients:
        raise InvalidRequest("The request names no patient.")
    for patient in patients:
        _check_patient_id(patient.patient_id, "patients.patient_id")
    return patients


def read_known(messages: Iterable[Any]) -> list[KnownAt]:
    """Where the person is known: by an identifier, or by the id of a Patient."""
    found = []
    for message in messages:
        home = _home(message.home_community_id, "known.home_community_id")
        patient_id = None
        if message.HasField("patient_id"):
            patient_id = convert.to_patient_id(message.patient_id)
            _check_patient_id(patient_id, "known.patient_id")
        if message.fhir_id and not is_id(message.fhir_id):
            raise InvalidRequest("known.fhir_id has to be an id of FHIR.")
        if patient_id is None and not message.fhir_id:
            raise InvalidRequest("known needs patient_id or fhir_id.")
        found.append(
            KnownAt(home_community_id=home, patient_id=patient_id, fhir_id=message.fhir_id or None)
        )
    return found


def read_search(message: Any) -> DocumentSearch:
    """What is wanted of the documents."""
    for name in ("since", "until"):
        text = getattr(message, name)
        if text and parse_time(text) != text:
            raise InvalidRequest(f"search.{name} has to be YYYY[MM[DD[hh[mm[ss]]]]].")
    return convert.to_search(message)


def read_refs(messages: Iterable[Any]) -> list[DocumentRef]:
    """The documents wanted; at least one, each with its three ids."""
    refs = [convert.to_ref(message) for message in messages]
    if not refs:
        raise InvalidRequest("The request names no document.")
    for ref in refs:
        _home(ref.home_community_id, "documents.home_community_id")
        if not ref.repository_unique_id or not ref.document_unique_id:
            raise InvalidRequest("A document needs repository_unique_id and document_unique_id.")
    return refs


def _home(text: str, field: str) -> HomeCommunityId:
    try:
        return home_community_id(text)
    except WireError as error:
        raise InvalidRequest(f"{field} has to be a home community id, urn:oid:...") from error


def _check_patient_id(identifier: PatientId, field: str) -> None:
    if not identifier.id or not is_oid(identifier.assigning_authority):
        raise InvalidRequest(f"{field} needs an id and the OID of its assigning authority.")
