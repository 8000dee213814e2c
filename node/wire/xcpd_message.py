"""What the two XCPD messages share: the value of a request, and the transmission wrapper.

Source: ITI TF-2 3.55.4.1.2, 3.55.4.2.2; QTF-709 to 715; facts ihe-wire 2.1.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from lxml import etree

from node.errors import OurFault, WireError
from node.model import Code, DiscoveryAnswer, HomeCommunityId, MatchStatus, PatientQuery
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import Group, add, escaped, fill, first, grouped, new_root
from node.wire.hl7v3 import InstanceId, fill_id, hl7, id_text, parse_home, parse_id
from node.wire.hl7v3_codes import vocabulary
from node.wire.identifiers import bare_oid
from node.wire.names import HL7, XSI
from node.wire.xml import serialize

__all__ = [
    "NSMAP",
    "DiscoveryRequest",
    "Party",
    "RequestProblem",
    "build_wrapper",
    "parse_party",
    "problem_answer",
    "unsupported_mode",
    "wrapper_text",
]

_MAX_WRAPPERS = 256
NSMAP: dict[str | None, str] = {None: HL7, "xsi": XSI}
"""What an XCPD message declares at its root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProblem:
    """Why a request cannot be answered: a code of acknowledgementDetail, words, and the place.

    ``text`` and ``location`` hold no value of the request, so both may be sent and logged.
    """

    code: str
    text: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryRequest:
    """One PRPA_IN201305UV02.

    Attributes:
        message_id: the HL7 message id, which the answer's targetMessage repeats.
        query_id: the query's id, which the answer's queryAck repeats.
        creation_time: digits in UTC; ``None`` where the sender's is no time.
        sender_device: id of the sending device; ``sender`` is the initiating gateway's HCID.
        receiver_device: id of the receiving device; ``receiver`` is the HCID of the node asked
            alone (QTF-710), also in ``query.target``.
        query: the question.
        priority: ``I`` immediate, ``D`` deferred.
        respond_to: where a deferred answer goes.
        author_assigning_authority: authority of the initiator's own patient id, for asking back.
        processing_code: ``P`` production, ``T`` training, ``D`` debugging.
        problems: what makes the request unanswerable; empty for a good one.
        query_by_parameter: the original element, for the echo in the answer. It belongs to the
            request's tree and is never changed.
    """

    message_id: InstanceId
    query_id: InstanceId
    query: PatientQuery
    creation_time: str | None = None
    sender_device: str | None = None
    sender: HomeCommunityId | None = None
    receiver_device: str | None = None
    receiver: HomeCommunityId | None = None
    priority: Literal["I", "D"] = "I"
    respond_to: str | None = None
    author_assigning_authority: str | None = None
    processing_code: str = "P"
    problems: tuple[RequestProblem, ...] = ()
    query_by_parameter: etree._Element | None = field(default=None, compare=False, repr=False)


def problem_answer(problem: RequestProblem) -> DiscoveryAnswer:
    """The answer to a request that failed validation: QE with the code (IPF's and our practice)."""
    return DiscoveryAnswer(
        status=MatchStatus.QE,
        problem=Code(code=problem.code, scheme=vocabulary().systems["acknowledgement_detail"]),
        problem_text=problem.text,
    )


def unsupported_mode() -> RequestProblem:
    """The problem of a deferred request at a node that answers only synchronously (NS250)."""
    return RequestProblem(
        code=vocabulary().details["unsupported_mode"],
        text="Deferred processing is not supported; ask with responsePriorityCode I.",
        location="controlActProcess/queryByParameter/responsePriorityCode",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Sender or receiver: a device and, for a gateway, the HCID of the organisation it acts for."""

    device: str | None = None
    home_community_id: HomeCommunityId | None = None


def parse_party(element: etree._Element | None, deviations: Deviations) -> Party:
    """Read a sender or receiver; an absent one is empty.

    Raises:
        WireError: ``identifier-invalid`` when its HCID is no OID.
    """
    device = grouped(first(grouped(element), "device"))
    identifier = parse_id(first(device, "id"), deviations)
    agent = grouped(first(device, "asAgent"))
    organization = grouped(first(agent, "representedOrganization"))
    return Party(
        device=identifier.root if identifier else None,
        home_community_id=parse_home(first(organization, "id"), deviations),
    )


def build_wrapper(
    interaction: str,
    *,
    message_id: InstanceId,
    creation_time: str | None,
    processing_code: str,
    accept: str,
    receiver: Party,
    sender: Party,
    respond_to: str | None = None,
) -> etree._Element:
    """The root with everything up to the sender, in schema order.

    Raises:
        OurFault: ``discovery-incomplete`` when a device or the creation time is not known.
    """
    _check_time(creation_time)
    root = deepcopy(
        _wrapper(interaction, processing_code, accept, receiver, sender, respond_to=respond_to)
    )
    fill_id(root[0], message_id)
    fill(root[1], value=f"{creation_time}+0000")
    return root


def wrapper_text(
    interaction: str,
    *,
    message_id: InstanceId,
    creation_time: str,
    processing_code: str,
    accept: str,
    receiver: Party,
    sender: Party,
) -> str:
    """The same as text: the root's start tag, and everything up to the sender.

    Raises:
        OurFault: as ``build_wrapper``.
    """
    _check_time(creation_time)
    start, parties = _wrapper_text(interaction, processing_code, accept, receiver, sender)
    time = escaped(creation_time, "creationTime")
    return f'{start}{id_text("id", message_id)}<creationTime value="{time}+0000"/>{parties}'


@lru_cache(maxsize=_MAX_WRAPPERS)
def _wrapper_text(
    interaction: str, processing_code: str, accept: str, receiver: Party, sender: Party
) -> tuple[str, str]:
    """What stands before and after id and time."""
    root = _wrapper(interaction, processing_code, accept, receiver, sender, respond_to=None)
    start, _, rest = serialize(root).decode().partition("<id/><creationTime/>")
    return start, rest.removesuffix(f"</{interaction}>")


def _check_time(creation_time: str | None) -> None:
    if not creation_time:
        raise OurFault("discovery-incomplete", "A discovery message has no creation time.")


@lru_cache(maxsize=_MAX_WRAPPERS)
def _wrapper(
    interaction: str,
    processing_code: str,
    accept: str,
    receiver: Party,
    sender: Party,
    *,
    respond_to: str | None,
) -> etree._Element:
    """The wrapper of all messages between two parties: its id and time are still empty."""
    root = new_root(hl7(interaction), NSMAP)
    root.set("ITSVersion", "XML_1.0")
    add(root, hl7("id"))
    add(root, hl7("creationTime"))
    add(
        root,
        hl7("interactionId"),
        root=vocabulary().systems["interaction"],
        extension=interaction,
    )
    add(root, hl7("processingCode"), code=processing_code)
    add(root, hl7("processingModeCode"), code="T")
    add(root, hl7("acceptAckCode"), code=accept)
    _build_party(root, "receiver", "RCV", receiver)
    if respond_to is not None:
        element = add(root, hl7("respondTo"), typeCode="RSP")
        add(element, hl7("telecom"), value=respond_to)
        entity = add(element, hl7("entityRsp"), classCode="ENT", determinerCode="INSTANCE")
        entity.set(f"{{{XSI}}}nil", "true")
    _build_party(root, "sender", "SND", sender)
    return root


def _build_party(root: etree._Element, name: str, type_code: str, party: Party) -> None:
    home = bare_oid(party.home_community_id) if party.home_community_id else None
    device = party.device or home
    if device is None:
        raise OurFault("discovery-incomplete", f"A discovery message has no {name} device.")
    element = add(root, hl7(name), typeCode=type_code)
    holder = add(element, hl7("device"), classCode="DEV", determinerCode="INSTANCE")
    add(holder, hl7("id"), root=device)
    if home is not None:
        agent = add(holder, hl7("asAgent"), classCode="AGNT")
        organization = add(
            agent, hl7("representedOrganization"), classCode="ORG", determinerCode="INSTANCE"
        )
        add(organization, hl7("id"), root=home)


def check_root(element: etree._Element, interaction: str) -> None:
    """Raise when the element is another message.

    Raises:
        WireError: ``discovery-invalid``.
    """
    if element.tag != hl7(interaction):
        raise WireError(
            "discovery-invalid", f"The message is not a {interaction}.", where=f"/{interaction}"
        )


def check_wrapper(
    element: etree._Element, groups: Group, interaction: str, deviations: Deviations
) -> None:
    """Note what the wrapper lacks."""
    if element.get("ITSVersion") is None:
        deviations.add(ContentDeviation.ITS_VERSION_MISSING)
    identifier = parse_id(first(groups, "interactionId"), deviations)
    if identifier is None or identifier.extension != interaction:
        deviations.add(ContentDeviation.INTERACTION_ID)
    if "sender" not in groups:
        deviations.add(ContentDeviation.SENDER_MISSING)
    if "receiver" not in groups:
        deviations.add(ContentDeviation.RECEIVER_MISSING)
