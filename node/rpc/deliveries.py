"""Requests to send documents (``Deliver``): written by the client, read by the service.

A request is one message, so that it is judged whole; larger documents are sent by the command line
in the node home or by FHIR.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from node.errors import SettingsError, WireError
from node.exchange.deliver import Delivery
from node.exchange.initiate import KnownPatient
from node.exchange.ports import Clock
from node.model import Demographics, HomeCommunityId, Principal
from node.records.entries import Community
from node.records.outgoing import delivery_of, read_outgoing
from node.rpc import convert
from node.rpc.requests import InvalidRequest, read_person
from node.wire.identifiers import home_community_id, is_oid
from protos.tefca_node.v1 import exchange_pb2 as pb

MOST_BYTES = 32 * 1024 * 1024
"""Of one message of a client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentDocument:
    """A document to be sent, as its owner has it; what it is, where it does not say it itself."""

    content: bytes
    mime_type: str | None = None
    type_code: str | None = None
    title: str | None = None


def delivery_request(
    documents: Sequence[SentDocument],
    person: Demographics | None,
    targets: Sequence[KnownPatient | HomeCommunityId],
) -> Any:
    """The message, without who asks."""
    request = pb.DeliverRequest(
        documents=[
            pb.SentDocument(
                content=each.content,
                mime_type=each.mime_type or "",
                type_code=each.type_code or "",
                title=each.title or "",
            )
            for each in documents
        ]
    )
    if person is not None:
        request.demographics.CopyFrom(convert.from_demographics(person))
    for target in targets:
        if isinstance(target, KnownPatient):
            request.targets.add(
                home_community_id=target.home_community_id,
                patient_id=convert.from_patient_id(target.patient_id),
            )
        else:
            request.targets.add(home_community_id=target)
    return request


def read_delivery_targets(messages: Iterable[Any]) -> list[KnownPatient | HomeCommunityId]:
    """To whom; at least one."""
    found: list[KnownPatient | HomeCommunityId] = []
    for message in messages:
        try:
            home = home_community_id(message.home_community_id)
        except WireError as error:
            raise InvalidRequest("targets has to name a home community id, urn:oid:...") from error
        if not message.HasField("patient_id"):
            found.append(home)
            continue
        patient_id = convert.to_patient_id(message.patient_id)
        if not patient_id.id or not is_oid(patient_id.assigning_authority):
            raise InvalidRequest("targets.patient_id needs an id and the OID of its authority.")
        found.append(KnownPatient(home_community_id=home, patient_id=patient_id))
    if not found:
        raise InvalidRequest("The request names nobody to send to.")
    return found


def read_delivery(
    request: Any, principal: Principal, community: Community, clock: Clock
) -> Delivery:
    """The submission; it takes a while for large documents."""
    person = read_person(request.demographics) if request.HasField("demographics") else None
    if not request.documents:
        raise InvalidRequest("The request has no document.")
    try:
        return delivery_of(
            [
                read_outgoing(
                    each.content,
                    mime_type=each.mime_type or None,
                    person=person,
                    type_=each.type_code or None,
                    title=each.title or None,
                )
                for each in request.documents
            ],
            community=community,
            principal=principal,
            now=clock.now(),
            new_id=clock.new_id,
        )
    except SettingsError as error:
        raise InvalidRequest(error.sentence) from error
