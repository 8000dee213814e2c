"""SOAP faults: which fault an error of the sender is, writing it, and reading a peer's.

A fault's text never tells an unauthenticated peer which check failed: ``fault_for`` uses the
error's sentence, which is made to be shown, and ``security_fault`` says only the subcode's own
meaning. A peer's reason and detail are text we do not control and may hold PHI: ``answer_error``
leaves them out, keep them in the private record only.

Sources: W3C SOAP 1.2 part 1, 5.4 and part 2, table 20 (HTTP status); W3C WS-Addressing 1.0 SOAP
Binding 6; OASIS WSS SOAP Message Security 1.1, 12.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from lxml import etree

from node.errors import AnswerError, CodedError, WireError
from node.wire.addressing import Addressing, reply
from node.wire.names import (
    PREFIXES,
    SOAP,
    SOAP_11,
    SOAP_FAULT_ACTION,
    WSA,
    WSA_FAULT_ACTION,
    WSSE,
    WSU,
    XML,
    Deviation,
)
from node.wire.soap import build_envelope
from node.wire.xml import E, XmlLimits, canonical, children, parse, text

_MAX_REASON = 4096
_MAX_DETAIL = 64 * 1024
_FAULT = f"{{{SOAP}}}Fault"
_LANG = f"{{{XML}}}lang"


class FaultCode(StrEnum):
    """The fault codes of SOAP 1.2; the value is the local name."""

    SENDER = "Sender"
    RECEIVER = "Receiver"
    MUST_UNDERSTAND = "MustUnderstand"
    VERSION_MISMATCH = "VersionMismatch"
    DATA_ENCODING_UNKNOWN = "DataEncodingUnknown"


class Subcode(StrEnum):
    """The subcodes we send, in Clark notation."""

    INVALID_SECURITY = f"{{{WSSE}}}InvalidSecurity"
    FAILED_AUTHENTICATION = f"{{{WSSE}}}FailedAuthentication"
    FAILED_CHECK = f"{{{WSSE}}}FailedCheck"
    SECURITY_TOKEN_UNAVAILABLE = f"{{{WSSE}}}SecurityTokenUnavailable"
    INVALID_SECURITY_TOKEN = f"{{{WSSE}}}InvalidSecurityToken"
    UNSUPPORTED_SECURITY_TOKEN = f"{{{WSSE}}}UnsupportedSecurityToken"
    UNSUPPORTED_ALGORITHM = f"{{{WSSE}}}UnsupportedAlgorithm"
    MESSAGE_EXPIRED = f"{{{WSU}}}MessageExpired"
    ACTION_NOT_SUPPORTED = f"{{{WSA}}}ActionNotSupported"
    INVALID_ADDRESSING_HEADER = f"{{{WSA}}}InvalidAddressingHeader"
    HEADER_REQUIRED = f"{{{WSA}}}MessageAddressingHeaderRequired"
    DESTINATION_UNREACHABLE = f"{{{WSA}}}DestinationUnreachable"
    ENDPOINT_UNAVAILABLE = f"{{{WSA}}}EndpointUnavailable"
    ONLY_ANONYMOUS = f"{{{WSA}}}OnlyAnonymousAddressSupported"
    ONLY_NON_ANONYMOUS = f"{{{WSA}}}OnlyNonAnonymousAddressSupported"


_SECURITY_TEXT = {
    Subcode.INVALID_SECURITY: "An error was discovered processing the Security header.",
    Subcode.FAILED_AUTHENTICATION: "The security token could not be authenticated or authorized.",
    Subcode.FAILED_CHECK: "The signature or decryption was invalid.",
    Subcode.SECURITY_TOKEN_UNAVAILABLE: "Referenced security token could not be retrieved.",
    Subcode.INVALID_SECURITY_TOKEN: "An invalid security token was provided.",
    Subcode.UNSUPPORTED_SECURITY_TOKEN: "An unsupported token was provided.",
    Subcode.UNSUPPORTED_ALGORITHM: "An unsupported signature or encryption algorithm was used.",
    Subcode.MESSAGE_EXPIRED: "The message has expired.",
}

_HTTP_STATUS = {FaultCode.SENDER: 400}
_OTHER_STATUS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One SOAP fault.

    Attributes:
        code: the fault code.
        reason: the sentence for people.
        subcode: qualified name in Clark notation, or ``None``; of a peer it may be any text.
        inner_subcode: the subcode inside the subcode (WS-Addressing's "Subsubcode").
        detail: the elements of the detail, each as canonical XML text.
        not_understood: qualified names of header blocks that were not understood.
        deviations: how a received fault departs from SOAP 1.2.
    """

    code: FaultCode
    reason: str
    subcode: str | None = None
    inner_subcode: str | None = None
    detail: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()

    @property
    def http_status(self) -> int:
        """400 for Sender, else 500 (SOAP 1.2 part 2, table 20)."""
        return _HTTP_STATUS.get(self.code, _OTHER_STATUS)

    @property
    def action(self) -> str:
        """The WS-Addressing Action of the fault message."""
        defined_by_wsa = self.subcode is not None and self.subcode.startswith(f"{{{WSA}}}")
        return WSA_FAULT_ACTION if defined_by_wsa else SOAP_FAULT_ACTION


def security_fault(subcode: Subcode = Subcode.FAILED_AUTHENTICATION) -> Fault:
    """A refusal of the Security header that tells nothing but the subcode's own meaning.

    Raises:
        KeyError: for a subcode that is not one of WS-Security: a bug of ours.
    """
    return Fault(code=FaultCode.SENDER, subcode=subcode, reason=_SECURITY_TEXT[subcode])


def receiver_fault(reason: str = "The request could not be processed.") -> Fault:
    """Our fault, or that of a system behind us: the sender may try again."""
    return Fault(code=FaultCode.RECEIVER, reason=reason)


def asynchronous_fault() -> Fault:
    """We answer on the same connection only (WS-Addressing SOAP Binding 6.4.1.7)."""
    return Fault(
        code=FaultCode.SENDER,
        subcode=Subcode.INVALID_ADDRESSING_HEADER,
        inner_subcode=Subcode.ONLY_ANONYMOUS,
        reason="Only the anonymous address is supported for replies.",
    )


def fault_for(error: CodedError) -> Fault:
    """The fault that answers an error; an error that is not the sender's is a bare Receiver fault.

    The sender reads the error's sentence, never its ``detail``.
    """
    if not isinstance(error, WireError):
        return receiver_fault()
    match error.code:
        case "soap-version":
            return Fault(code=FaultCode.VERSION_MISMATCH, reason=error.sentence)
        case "soap-not-understood":
            return Fault(
                code=FaultCode.MUST_UNDERSTAND,
                reason=error.sentence,
                not_understood=(error.where,) if error.where else (),
            )
        case "addressing-action-unsupported":
            action = (E(WSA, "Action", {}, error.where),) if error.where else ()
            return Fault(
                code=FaultCode.SENDER,
                subcode=Subcode.ACTION_NOT_SUPPORTED,
                reason=error.sentence,
                detail=(_text(E(WSA, "ProblemAction", {}, *action)),),
            )
        case "addressing-header-required" | "addressing-invalid":
            required = error.code == "addressing-header-required"
            return Fault(
                code=FaultCode.SENDER,
                subcode=Subcode.HEADER_REQUIRED if required else Subcode.INVALID_ADDRESSING_HEADER,
                reason=error.sentence,
                detail=_problem_header(error.where),
            )
        case _:
            return Fault(code=FaultCode.SENDER, reason=error.sentence)


def _problem_header(name: str | None) -> tuple[str, ...]:
    if name is None or not name.startswith(f"{{{WSA}}}"):
        return ()
    local = name.rpartition("}")[2]
    return (_text(E(WSA, "ProblemHeaderQName", {}, f"wsa:{local}")),)


def _text(element: etree._Element) -> str:
    return canonical(element).decode()


def build_fault(
    fault: Fault, *, request: Addressing, message_id: str, security: etree._Element | None = None
) -> bytes:
    """Write the fault message that answers a request; send it with ``fault.http_status``.

    Args:
        fault: the fault; a subcode must be in Clark notation.
        request: addressing of the request, as far as it could be read.
        message_id: a new MessageID of ours.
        security: a Security header for the answer, where one is wanted.

    Raises:
        WireError: ``soap-malformed`` when a subcode has no namespace, ``xml-malformed`` when the
            detail is no XML.
    """
    return build_envelope(
        addressing=reply(request, action=fault.action, message_id=message_id),
        body=_element(fault),
        security=security,
        headers=_soap_headers(fault),
    )


def _soap_headers(fault: Fault) -> list[etree._Element]:
    """The header blocks SOAP 1.2 asks for: Upgrade (5.4.7) and NotUnderstood (5.4.8)."""
    if fault.code is FaultCode.VERSION_MISMATCH:
        return [E(SOAP, "Upgrade", {}, _named("SupportedEnvelope", f"{{{SOAP}}}Envelope"))]
    blocks = []
    for name in fault.not_understood:
        # the name is the peer's: one that cannot be written is left out, the fault still goes
        with suppress(WireError):
            blocks.append(_named("NotUnderstood", name))
    return blocks


def _named(name: str, qname: str) -> etree._Element:
    """A SOAP element whose ``qname`` attribute is a qualified name."""
    element, value = _with_qname(name, qname)
    element.set("qname", value)
    return element


def _with_qname(name: str, qname: str) -> tuple[etree._Element, str]:
    """A SOAP element that declares the namespace of a qualified name, and the prefixed name."""
    uri, _, local = qname.removeprefix("{").rpartition("}")
    if not uri or not local:
        raise WireError("soap-malformed", "A qualified name of a fault has no namespace.")
    prefix = next((known for known, its in PREFIXES.items() if its == uri), "code")
    try:
        element = etree.Element(f"{{{SOAP}}}{name}", nsmap={"soap": SOAP, prefix: uri})
    except ValueError:
        raise WireError("soap-malformed", "A namespace of a fault is no URI.") from None
    return element, f"{prefix}:{local}"


def _element(fault: Fault) -> etree._Element:
    code = E(SOAP, "Code", {}, E(SOAP, "Value", {}, f"soap:{fault.code}"))
    outer = code
    for subcode in (fault.subcode, fault.inner_subcode):
        if subcode is None:
            break
        value, content = _with_qname("Value", subcode)
        value.text = content
        outer.append(E(SOAP, "Subcode", {}, value))
        outer = outer[-1]
    reason = E(SOAP, "Reason", {}, E(SOAP, "Text", {_LANG: "en"}, fault.reason))
    detail = [parse(part.encode()) for part in fault.detail]
    return E(SOAP, "Fault", {}, code, reason, E(SOAP, "Detail", {}, *detail) if detail else None)


def read_fault(body: etree._Element) -> Fault | None:
    """The fault that a body element is, or ``None`` when it is something else.

    SOAP 1.1 faults, missing reasons and codes without prefix are read and counted as deviations.
    """
    if body.tag == f"{{{SOAP_11}}}Fault":
        return _soap_11_fault(body)
    if body.tag != _FAULT:
        return None
    deviations: dict[Deviation, None] = {}
    code = body.find(f"{{{SOAP}}}Code")
    value = _child_text(code, "Value")
    if value is None or ":" not in value:
        deviations[Deviation.FAULT_CODE_UNQUALIFIED] = None
    subcode = None if code is None else code.find(f"{{{SOAP}}}Subcode")
    inner = None if subcode is None else subcode.find(f"{{{SOAP}}}Subcode")
    reason = _reason(body.find(f"{{{SOAP}}}Reason"))
    if reason is None:
        deviations[Deviation.FAULT_REASON_MISSING] = None
    return Fault(
        code=_code(value),
        subcode=_qname(subcode, deviations),
        inner_subcode=_qname(inner, deviations),
        reason=reason or "",
        detail=_detail(body.find(f"{{{SOAP}}}Detail")),
        deviations=tuple(deviations),
    )


def _soap_11_fault(body: etree._Element) -> Fault:
    value = (text(body.find("faultcode")) or "").rpartition(":")[2]
    renamed = {"Client": "Sender", "Server": "Receiver"}
    return Fault(
        code=_code(renamed.get(value, value)),
        reason=(text(body.find("faultstring")) or "")[:_MAX_REASON],
        detail=_detail(body.find("detail")),
        deviations=(Deviation.FAULT_SOAP_11,),
    )


def _child_text(element: etree._Element | None, name: str) -> str | None:
    return None if element is None else text(element.find(f"{{{SOAP}}}{name}"))


def _code(value: str | None) -> FaultCode:
    """The fault code of any text; what we do not know is a Receiver's: nothing blames us."""
    local = (value or "").rpartition(":")[2]
    return FaultCode(local) if local in tuple(FaultCode) else FaultCode.RECEIVER


def _qname(parent: etree._Element | None, deviations: dict[Deviation, None]) -> str | None:
    """The qualified name in a subcode's Value, or its bare text when the prefix means nothing."""
    element = None if parent is None else parent.find(f"{{{SOAP}}}Value")
    value = text(element)
    if element is None or value is None:
        return None
    prefix, colon, local = value[:_MAX_REASON].rpartition(":")
    uri = element.nsmap.get(prefix) if colon else None
    if uri is None:
        deviations[Deviation.FAULT_CODE_UNQUALIFIED] = None
        return value[:_MAX_REASON]
    return f"{{{uri}}}{local}"


def _reason(element: etree._Element | None) -> str | None:
    """The English text of a reason, or the first one there is."""
    texts = [] if element is None else element.findall(f"{{{SOAP}}}Text")
    english = [one for one in texts if one.get(_LANG, "").lower().startswith("en")]
    chosen = text((english or texts)[0]) if texts else None
    return None if chosen is None else chosen[:_MAX_REASON]


def _detail(element: etree._Element | None) -> tuple[str, ...]:
    """The elements of a detail that have a canonical form, as many as fit into 64 KiB."""
    found: list[str] = []
    room = _MAX_DETAIL
    for child in children(element) if element is not None else ():
        with suppress(WireError):
            part = _text(child)
            room -= len(part)
            if room < 0:
                break
            found.append(part)
    return tuple(found)


def parse_fault(data: bytes, *, limits: XmlLimits) -> Fault | None:
    """The fault in a body of any HTTP status, or ``None`` when there is none to be read.

    For what came with an error status: never raises, since a plain-text or HTML body is no fault.
    """
    try:
        root = parse(data, limits=limits)
    except WireError:
        return None
    for uri in (SOAP, SOAP_11):
        body = root.find(f"{{{uri}}}Body")
        content = None if body is None else next(children(body), None)
        if content is not None:
            return read_fault(content)
    return None


def answer_error(fault: Fault) -> AnswerError:
    """A peer's fault as the error of a leg: code and known subcode only, no text of theirs."""
    subcode = known_subcode(fault)
    named = f", {subcode}" if subcode else ""
    return AnswerError(
        "soap-fault",
        f"The peer answered with a SOAP fault ({fault.code}{named}).",
        fault=fault.code,
        subcode=subcode,
        soap_11=Deviation.FAULT_SOAP_11 in fault.deviations,
    )


def known_subcode(fault: Fault) -> str | None:
    """The local name of the innermost subcode that the standards define, or ``None``."""
    known = {one.rpartition("}")[2] for one in Subcode}
    names = [(one or "").rpartition("}")[2] for one in (fault.inner_subcode, fault.subcode)]
    return next((name for name in names if name in known), None)
