"""ITI-55 request, PRPA_IN201305UV02: strict out, liberal in.

Everything the demographics hold is sent (QTF-709, 1501). What cannot be answered is returned as
``DiscoveryRequest.problems``, values that the responder answers with (``problem_answer``), since
the answer needs the request's ids and its echo all the same. Only a body that is no such message,
or that breaks a limit, is an error.

Source: ITI TF-2 3.55.4.1.2; facts ihe-wire 2.1.
"""

from __future__ import annotations

from typing import Literal

from lxml import etree

from node.errors import OurFault, WireError
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import Group, add, first, grouped
from node.wire.hl7v3 import (
    XSI_TYPE,
    attribute,
    build_id,
    code_of,
    hl7,
    parse_id,
)
from node.wire.hl7v3_codes import vocabulary
from node.wire.timestamps import parse_time
from node.wire.xcpd_message import (
    DiscoveryRequest,
    Party,
    RequestProblem,
    build_wrapper,
    check_root,
    check_wrapper,
    parse_party,
)
from node.wire.xcpd_parameters import PARAMETERS, build_parameters, missing, parse_query, wrong

__all__ = ["build_discovery_request", "parse_discovery_request"]

INTERACTION = "PRPA_IN201305UV02"


# --- writing ----------------------------------------------------------------------------------


def build_discovery_request(request: DiscoveryRequest) -> etree._Element:
    """The body of an ITI-55 request, in schema order.

    ``query_by_parameter`` and ``problems`` play no part: the query is written from
    ``request.query``.

    Raises:
        OurFault: ``discovery-incomplete`` when device, HCID of the sender or creation time is
            missing, or the demographics have neither an id nor name and birth date;
            ``text-not-xml`` for characters XML cannot carry.
    """
    demographics = request.query.demographics
    _check_sendable(request)
    receiver = request.receiver or request.query.target
    root = build_wrapper(
        INTERACTION,
        message_id=request.message_id,
        creation_time=request.creation_time,
        processing_code=request.processing_code,
        accept="AL",
        receiver=Party(device=request.receiver_device, home_community_id=receiver),
        sender=Party(device=request.sender_device, home_community_id=request.sender),
        respond_to=request.respond_to,
    )
    systems = vocabulary().systems
    process = add(root, hl7("controlActProcess"), classCode="CACT", moodCode="EVN")
    add(process, hl7("code"), code="PRPA_TE201305UV02", codeSystem=systems["interaction"])
    if request.author_assigning_authority is not None:
        author = add(process, hl7("authorOrPerformer"), typeCode="AUT")
        device = add(author, hl7("assignedDevice"), classCode="ASSIGNED")
        add(device, hl7("id"), root=request.author_assigning_authority)
    query = add(process, hl7("queryByParameter"))
    build_id(query, "queryId", request.query_id)
    add(query, hl7("statusCode"), code="new")
    add(query, hl7("responseModalityCode"), code="R")
    add(query, hl7("responsePriorityCode"), code=request.priority)
    if request.query.minimum_degree_match is not None:
        criteria = add(query, hl7("matchCriterionList"))
        degree = add(criteria, hl7("minimumDegreeMatch"))
        value = add(degree, hl7("value"), value=str(request.query.minimum_degree_match))
        value.set(XSI_TYPE, "INT")
        add(degree, hl7("semanticsText"), "Degree of match requested")
    build_parameters(add(query, hl7("parameterList")), demographics)
    return root


def _check_sendable(request: DiscoveryRequest) -> None:
    demographics = request.query.demographics
    complete = demographics.identifiers or (demographics.names and demographics.birth_date)
    if request.sender is None or not complete:
        raise OurFault(
            "discovery-incomplete",
            "A discovery needs the sender's HCID, and an id or name and birth date.",
        )


# --- reading ----------------------------------------------------------------------------------


def parse_discovery_request(
    element: etree._Element,
) -> tuple[DiscoveryRequest, tuple[ContentDeviation, ...]]:
    """Read an ITI-55 request.

    Raises:
        WireError: ``discovery-invalid`` when the body is no PRPA_IN201305UV02 or has no message id
            that an answer could name.
        LimitError: ``value-too-long``, ``too-many-values``.
    """
    check_root(element, INTERACTION)
    deviations = Deviations()
    problems: list[RequestProblem] = []
    groups = grouped(element)
    check_wrapper(element, groups, INTERACTION, deviations)
    message_id = parse_id(first(groups, "id"), deviations)
    if message_id is None:
        raise WireError("discovery-invalid", "The message has no id.", where=f"/{INTERACTION}/id")
    process = grouped(first(groups, "controlActProcess"))
    by_parameter = first(process, "queryByParameter")
    query = grouped(by_parameter)
    if by_parameter is None or "parameterList" not in query:
        problems.append(missing("The query has no parameterList.", PARAMETERS))
    query_id = parse_id(first(query, "queryId"), deviations)
    if query_id is None:
        deviations.add(ContentDeviation.QUERY_ID_MISSING)
    receiver = _receiver(first(groups, "receiver"), deviations, problems)
    sender = _sender(first(groups, "sender"), deviations)
    priority, respond_to = _mode(groups, query, deviations, problems)
    _forbid(query, problems)
    created = attribute(first(groups, "creationTime"), "value", deviations)
    author = grouped(first(grouped(first(process, "authorOrPerformer")), "assignedDevice"))
    authority = parse_id(first(author, "id"), deviations)
    processing = code_of(first(groups, "processingCode"), deviations)
    return DiscoveryRequest(
        message_id=message_id,
        query_id=query_id or message_id,
        creation_time=_time(created, deviations),
        sender_device=sender.device,
        sender=sender.home_community_id,
        receiver_device=receiver.device,
        receiver=receiver.home_community_id,
        query=parse_query(query, receiver.home_community_id, deviations, problems),
        priority=priority,
        respond_to=respond_to,
        author_assigning_authority=authority.root if authority else None,
        processing_code=processing or "P",
        problems=tuple(problems),
        query_by_parameter=by_parameter,
    ), deviations.seen()


def _receiver(
    element: etree._Element | None, deviations: Deviations, problems: list[RequestProblem]
) -> Party:
    # A directed query that names no community cannot be answered for everybody (QTF-711, 712).
    try:
        return parse_party(element, deviations)
    except WireError:
        problems.append(
            wrong(
                "The receiver's home community id is not an OID.",
                "receiver/device/asAgent/representedOrganization/id/@root",
            )
        )
        return Party()


def _sender(element: etree._Element | None, deviations: Deviations) -> Party:
    # Who asks is proved by the assertion; an unreadable HCID here only loses a hint.
    try:
        return parse_party(element, deviations)
    except WireError:
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
        return Party()


def _mode(
    groups: Group, query: Group, deviations: Deviations, problems: list[RequestProblem]
) -> tuple[Literal["I", "D"], str | None]:
    code = code_of(first(query, "responsePriorityCode"), deviations)
    telecom = first(grouped(first(groups, "respondTo")), "telecom")
    respond_to = attribute(telecom, "value", deviations)
    if code is None:
        deviations.add(ContentDeviation.PRIORITY_MISSING)
    elif code not in ("I", "D"):
        problems.append(
            wrong(
                "responsePriorityCode is neither I nor D.",
                "controlActProcess/queryByParameter/responsePriorityCode",
            )
        )
    elif code == "D" and respond_to is None:
        problems.append(missing("A deferred request has no respondTo address.", "respondTo"))
    return ("D" if code == "D" else "I"), respond_to


def _forbid(query: Group, problems: list[RequestProblem]) -> None:
    known = vocabulary()
    place = "controlActProcess/queryByParameter"
    for names, forbidden, path in (
        (query, known.forbidden_query, place),
        (
            grouped(first(query, "matchCriterionList")),
            known.forbidden_criterion,
            f"{place}/matchCriterionList",
        ),
        (grouped(first(query, "parameterList")), known.forbidden_parameter, PARAMETERS),
    ):
        problems.extend(
            wrong(f"{name} is not allowed in ITI-55.", f"{path}/{name}")
            for name in sorted(forbidden.intersection(names))
        )


def _time(raw: str | None, deviations: Deviations) -> str | None:
    if raw is None:
        return None
    if "-" in raw[:8]:
        deviations.add(ContentDeviation.TIME_ISO)
    time = parse_time(raw)
    if time is None:
        deviations.add(ContentDeviation.TIME_INVALID)
    return time
