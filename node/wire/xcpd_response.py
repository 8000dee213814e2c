"""ITI-55 answer, PRPA_IN201306UV02: the five IHE cases, and the errors AE and QE.

=== ==== ==== =========================================================================
 1   AA   OK   one match
 2   AA   OK   several matches
 3   AA   OK   no match, the responder asks for more attributes (``DiscoveryAnswer.asks``)
 4   AA   NF   no match
 5   AE   AE   cannot answer, with a reason (``problem``)
 --  AE   QE   the query failed validation, with acknowledgementDetail
=== ==== ==== =========================================================================

Written strictly; ``queryByParameter`` is the request's own nodes. Read liberally: each departure
of facts ihe-wire 13 is understood and named.

Source: ITI TF-2 3.55.4.2.2, 3.55.4.2.3; QTF-713, 714, 716, 1503.
"""

from __future__ import annotations

from lxml import etree

from node.errors import LimitError, OurFault, WireError
from node.model import Code, DiscoveryAnswer, HomeCommunityId, Match, MatchStatus
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import Group, escaped, first, grouped, new_root, value_of
from node.wire.hl7v3 import InstanceId, attribute, code_of, hl7, id_text, parse_id
from node.wire.hl7v3_codes import vocabulary
from node.wire.xcpd_message import (
    NSMAP,
    DiscoveryRequest,
    Party,
    check_root,
    check_wrapper,
    parse_party,
    wrapper_text,
)
from node.wire.xcpd_person import build_registration, parse_registration
from node.wire.xml import local_name, serialize

__all__ = ["parse_discovery_response", "write_discovery_response"]

INTERACTION = "PRPA_IN201306UV02"
_MAX_MATCHES = 500
_FAILED = (MatchStatus.AE, MatchStatus.QE)


# --- writing ----------------------------------------------------------------------------------


def write_discovery_response(
    request: DiscoveryRequest,
    answer: DiscoveryAnswer,
    *,
    message_id: InstanceId,
    creation_time: str,
    home_community_id: HomeCommunityId,
    device: str | None = None,
    organization: str,
) -> bytes:
    """The body of an ITI-55 answer, in schema order: UTF-8 XML that declares all its namespaces.

    Args:
        request: the request, also one with problems.
        answer: what was decided; a problem goes into ``mitigatedBy``, or into
            acknowledgementDetail when its code system is that of acknowledgement details.
        message_id: id of this message.
        creation_time: digits in UTC (``timestamps.instant``).
        home_community_id: HCID of this gateway.
        device: id of this device; the HCID's OID when not given.
        organization: name for matches that bring none of their own.

    Raises:
        OurFault: ``discovery-answer-inconsistent`` when status and content contradict each other;
            ``text-not-xml`` for characters XML cannot carry.
    """
    _check_consistent(answer)
    wrapper = wrapper_text(
        INTERACTION,
        message_id=message_id,
        creation_time=creation_time,
        processing_code=request.processing_code,
        accept="NE",
        receiver=Party(
            device=request.sender_device or request.message_id.root,
            home_community_id=request.sender,
        ),
        sender=Party(device=device, home_community_id=home_community_id),
    )
    interaction = vocabulary().systems["interaction"]
    status = "aborted" if answer.status in _FAILED else "deliveredResponse"
    written = (
        f"{wrapper}{_acknowledgement_text(request, answer)}"
        '<controlActProcess classCode="CACT" moodCode="EVN">'
        f'<code code="PRPA_TE201306UV02" codeSystem="{interaction}"/>'
        f"{_registrations_text(answer, organization)}{_reason_text(answer)}"
        f"<queryAck>{id_text('queryId', request.query_id)}"
        f'<statusCode code="{status}"/><queryResponseCode code="{answer.status.value}"/></queryAck>'
    )
    end = f"</controlActProcess></{INTERACTION}>"
    return b"".join((written.encode(), _echo(request.query_by_parameter), end.encode()))


def _check_consistent(answer: DiscoveryAnswer) -> None:
    match answer.status:
        case MatchStatus.OK:
            good = bool(answer.matches) != bool(answer.asks) and answer.problem is None
        case MatchStatus.NF:
            good = not answer.matches and not answer.asks and answer.problem is None
        case _:
            good = not answer.matches and not answer.asks and answer.problem is not None
    if not good:
        raise OurFault(
            "discovery-answer-inconsistent",
            f"A discovery answer {answer.status.value} does not fit what it carries.",
        )


def _acknowledgement_text(request: DiscoveryRequest, answer: DiscoveryAnswer) -> str:
    code = "AE" if answer.status in _FAILED else "AA"
    return (
        f'<acknowledgement><typeCode code="{code}"/>'
        f"<targetMessage>{id_text('id', request.message_id)}</targetMessage>"
        f"{_detail_text(request, answer)}</acknowledgement>"
    )


def _detail_text(request: DiscoveryRequest, answer: DiscoveryAnswer) -> str:
    problem = answer.problem
    if problem is None or not (_is_detail(problem) or answer.problem_text):
        return ""
    coded = f"<code{_coded(problem.code, problem.scheme)}/>" if _is_detail(problem) else ""
    text = answer.problem_text
    words = f"<text>{escaped(text, 'text')}</text>" if text else ""
    places = dict.fromkeys(p.location for p in request.problems if p.code == problem.code)
    located = "".join([f"<location>{escaped(place, 'location')}</location>" for place in places])
    return f'<acknowledgementDetail typeCode="E">{coded}{words}{located}</acknowledgementDetail>'


def _is_detail(problem: Code) -> bool:
    return problem.scheme == vocabulary().systems["acknowledgement_detail"]


def _coded(code: str, system: str, display: str | None = None) -> str:
    """The attributes of a code."""
    name = f' displayName="{escaped(display, "displayName")}"' if display is not None else ""
    return f' code="{escaped(code, "code")}" codeSystem="{escaped(system, "codeSystem")}"{name}'


def _registrations_text(answer: DiscoveryAnswer, organization: str) -> str:
    if not answer.matches:
        return ""
    holder = new_root(hl7(INTERACTION), NSMAP)
    for match in answer.matches:
        build_registration(holder, match, organization)
    return "".join([serialize(child).decode() for child in holder])


def _reason_text(answer: DiscoveryAnswer) -> str:
    known = vocabulary()
    problem = answer.problem if answer.problem and not _is_detail(answer.problem) else None
    if problem is None and not answer.asks:
        return ""
    issue = _coded(known.codes["administrative_issue"], known.systems["detected_issue"])
    mitigated = (
        ""
        if problem is None
        else (
            '<mitigatedBy typeCode="MITGT"><detectedIssueManagement classCode="ACT" moodCode="RQO">'
            f"<code{_coded(problem.code, problem.scheme, problem.display)}/>"
            "</detectedIssueManagement></mitigatedBy>"
        )
    )
    asked = "".join(
        [
            '<triggerFor typeCode="TRIG"><actOrderRequired classCode="ACT" moodCode="RQO">'
            f"<code{_coded(ask, known.systems['ask'])}/></actOrderRequired></triggerFor>"
            for ask in answer.asks
        ]
    )
    return (
        '<reasonOf typeCode="RSON"><detectedIssueEvent classCode="ALRT" moodCode="EVN">'
        f"<code{issue}/>{mitigated}{asked}</detectedIssueEvent></reasonOf>"
    )


def _echo(original: etree._Element | None) -> bytes:
    """The request's queryByParameter with every namespace it stood in.

    All of them, because a value such as that of xsi:type may use one that no name does.
    """
    return b'<queryByParameter xsi:nil="true"/>' if original is None else serialize(original)


# --- reading ----------------------------------------------------------------------------------


def parse_discovery_response(
    element: etree._Element, request: DiscoveryRequest | None = None
) -> tuple[DiscoveryAnswer, tuple[ContentDeviation, ...]]:
    """Read an ITI-55 answer.

    Args:
        element: the body.
        request: what we sent, to compare the ids that the answer repeats; differences are counted
            and nothing more, since partners write other ids there (WS-Addressing relates answers).

    Raises:
        WireError: ``discovery-invalid`` when the body is no PRPA_IN201306UV02.
        LimitError: ``too-many-values`` past 500 matches, ``value-too-long``.
    """
    check_root(element, INTERACTION)
    deviations = Deviations()
    groups = grouped(element)
    check_wrapper(element, groups, INTERACTION, deviations)
    attribute(first(groups, "creationTime"), "value", deviations)
    process_element = first(groups, "controlActProcess")
    process = grouped(process_element)
    _check_order(process_element, deviations)
    acknowledged, detail, problem_text = _acknowledgement(groups, request, deviations)
    ack = grouped(first(process, "queryAck"))
    _compare_query_id(ack, request, deviations)
    matches = _matches(process, groups, deviations)
    asks, mitigation = _reasons(process, deviations)
    status = _status(
        code_of(first(ack, "queryResponseCode"), deviations),
        acknowledged,
        has_content=bool(matches or asks),
        deviations=deviations,
    )
    problem = mitigation or detail
    return DiscoveryAnswer(
        status=status,
        matches=matches,
        asks=asks,
        problem=problem,
        problem_text=problem_text,
    ), deviations.seen()


def _check_order(process: etree._Element | None, deviations: Deviations) -> None:
    children = process.iterchildren("*") if process is not None else ()
    names = [local_name(child) for child in children]
    if "queryAck" in names and "queryByParameter" in names[: names.index("queryAck")]:
        deviations.add(ContentDeviation.ELEMENT_ORDER)


def _acknowledgement(
    groups: Group, request: DiscoveryRequest | None, deviations: Deviations
) -> tuple[str | None, Code | None, str | None]:
    """The type code, and the code and text of the first detail that has them."""
    acknowledgement = grouped(first(groups, "acknowledgement"))
    type_code = code_of(first(acknowledgement, "typeCode"), deviations)
    if type_code is None:
        deviations.add(ContentDeviation.ACKNOWLEDGEMENT_MISSING)
    target = parse_id(first(grouped(first(acknowledgement, "targetMessage")), "id"), deviations)
    if request is not None and target != request.message_id:
        deviations.add(ContentDeviation.TARGET_MESSAGE_MISMATCH)
    code: Code | None = None
    text: str | None = None
    for element in acknowledgement.get("acknowledgementDetail", ()):
        detail = grouped(element)
        code = code or _code(first(detail, "code"), deviations)
        text = text or value_of(first(detail, "text"))
    if code is not None and not _is_detail(code):
        deviations.add(ContentDeviation.DETAIL_CODE_SYSTEM)
    return type_code, code, text


def _compare_query_id(ack: Group, request: DiscoveryRequest | None, deviations: Deviations) -> None:
    query_id = parse_id(first(ack, "queryId"), deviations)
    if query_id is None:
        deviations.add(ContentDeviation.QUERY_ID_MISSING)
    elif request is not None and query_id != request.query_id:
        deviations.add(ContentDeviation.QUERY_ID_MISMATCH)


def _matches(process: Group, groups: Group, deviations: Deviations) -> tuple[Match, ...]:
    subjects = process.get("subject", [])
    if len(subjects) > _MAX_MATCHES:
        raise LimitError(
            "too-many-values",
            f"The answer has more than {_MAX_MATCHES} matches.",
            where="controlActProcess/subject",
        )
    try:
        sender = parse_party(first(groups, "sender"), deviations).home_community_id
    except WireError as error:
        if isinstance(error, LimitError):
            raise
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
        sender = None
    matches = tuple(
        match
        for subject in subjects
        if (match := parse_registration(subject, sender, deviations)) is not None
    )
    homes = [match.home_community_id for match in matches]
    if len(set(homes)) > 1:
        deviations.add(ContentDeviation.SEVERAL_HOME_COMMUNITIES)
    if len(set(homes)) < len(homes):
        deviations.add(ContentDeviation.SEVERAL_IDENTITIES)  # QTF-1503: one per node
    return matches


def _reasons(process: Group, deviations: Deviations) -> tuple[tuple[str, ...], Code | None]:
    """Asks (case 3) and the problem (case 5), wherever a reasonOf has them."""
    known = vocabulary()
    asks: dict[str, None] = {}
    problem: Code | None = None
    for reason in process.get("reasonOf", ()):
        event = grouped(first(grouped(reason), "detectedIssueEvent"))
        for mitigated in event.get("mitigatedBy", ()):
            management = grouped(first(grouped(mitigated), "detectedIssueManagement"))
            problem = problem or _code(first(management, "code"), deviations)
        for trigger in event.get("triggerFor", ()):
            order = grouped(first(grouped(trigger), "actOrderRequired"))
            code = code_of(first(order, "code"), deviations)
            if code is None:
                continue
            if code in known.misspelt_asks:
                deviations.add(ContentDeviation.ASK_MISSPELT)
                code = known.misspelt_asks[code]
            elif code not in known.asks:
                deviations.add(ContentDeviation.ASK_UNKNOWN)
            asks[code] = None
    if problem is not None and problem.scheme != known.systems["problem"]:
        deviations.add(ContentDeviation.PROBLEM_CODE_SYSTEM)
    return tuple(asks), problem


def _code(element: etree._Element | None, deviations: Deviations) -> Code | None:
    code = code_of(element, deviations)
    if code is None or element is None:
        return None
    return Code(
        code=code,
        scheme=attribute(element, "codeSystem", deviations, as_text=False) or "",
        display=attribute(element, "displayName", deviations, as_text=False),
    )


def _status(
    raw: str | None, acknowledged: str | None, *, has_content: bool, deviations: Deviations
) -> MatchStatus:
    """The queryResponseCode, or what the rest of the answer says where it is missing or wrong."""
    status = next((known for known in MatchStatus if raw and known.value == raw.upper()), None)
    if status is None:
        deviations.add(ContentDeviation.RESPONSE_CODE_MISSING)
        if acknowledged in ("AE", "AR", "CE", "CR"):
            return MatchStatus.AE
        return MatchStatus.OK if has_content else MatchStatus.NF
    if status is MatchStatus.OK and not has_content:
        deviations.add(ContentDeviation.RESPONSE_CODE_CONFLICT)
        return MatchStatus.NF if acknowledged in ("AA", "CA", None) else MatchStatus.AE
    if status is MatchStatus.NF and has_content:
        deviations.add(ContentDeviation.RESPONSE_CODE_CONFLICT)
        return MatchStatus.OK
    if status is MatchStatus.NF and acknowledged in ("AE", "AR"):
        deviations.add(ContentDeviation.RESPONSE_CODE_CONFLICT)
        return MatchStatus.AE
    return status
