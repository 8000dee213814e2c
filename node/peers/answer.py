"""A peer's answer: found in the HTTP body, then judged as a SOAP message.

Reading and judging are two steps: the first moves bytes and stores attachments, the second is pure.
What a peer may send instead of an answer has its own code each: nothing at all, a redirect, a SOAP
fault in any HTTP status, plain text, a proxy's error page (facts: ihe-wire 1, 13).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum

from node.errors import AnswerError, LimitError, NetworkFault, NodeError, WireError
from node.exchange.document_sink import DocumentSink
from node.peers.attempt import HttpAnswer
from node.wire.addressing import check_response
from node.wire.content_type import parse_content_type
from node.wire.faults import Fault, answer_error, known_subcode, parse_fault, read_fault
from node.wire.mtom import End, Event, MtomLimits, PartBegin, PartData, PartEnd, RootPart
from node.wire.mtom_parser import MtomParser
from node.wire.names import WSSE, WSU, Deviation, Operation
from node.wire.soap import Envelope, XmlLimits, parse_envelope
from trust.wssecurity import read_signature_confirmation

_MIB = 1024 * 1024
_TEXT_BYTES = 64 * 1024


class AnswerDeviation(StrEnum):
    """Tolerated departures of an answer, besides those of the wire."""

    SIGNATURE_CONFIRMATION = "signature-confirmation-mismatch"
    HTTP_STATUS = "http-status"
    DOCUMENT_UNREQUESTED = "document-unrequested"
    DOCUMENT_REPEATED = "document-repeated"
    LOG_PROMISE_ABSENT = "log-promise-absent"
    LOG_PROMISE_INVALID = "log-promise-invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimits:
    """What one answer may cost; sizes in bytes.

    Attributes:
        soap_bytes: the SOAP part, the only one held in memory.
        document_bytes: one attachment.
        total_bytes: the whole answer after decompression.
        parts: number of MIME parts.
        xml: what the SOAP part's XML may cost.
    """

    soap_bytes: int = 64 * _MIB
    document_bytes: int = 1024 * _MIB
    total_bytes: int = 4096 * _MIB
    parts: int = 1001
    xml: XmlLimits = field(default_factory=XmlLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAnswer:
    """The SOAP part of an answer (or the text that came instead), and its HTTP status."""

    soap: bytes
    status: int
    is_soap: bool
    unavailable: bool = False
    deviations: tuple[str, ...] = ()


async def read_answer(
    answer: HttpAnswer, limits: AnswerLimits, sink: DocumentSink | None
) -> ReadAnswer:
    """Read an answer to its end; attachments go to ``sink``, or nowhere when it is ``None``.

    Raises:
        NodeError: of the network, the MIME framing, a limit, or the inbox.
    """
    try:
        parser = MtomParser(
            parse_content_type(answer.content_type),
            MtomLimits(
                root_bytes=limits.soap_bytes,
                part_bytes=limits.document_bytes,
                total_bytes=limits.total_bytes,
                parts=limits.parts,
            ),
        )
    except WireError:
        return await _text(answer)
    soap = b""
    async for event in _events(answer.body, parser):
        match event:
            case RootPart():
                soap = event.data
            case PartBegin() if sink is not None:
                await sink.begin()
            case PartData() if sink is not None:
                await sink.write(event.data)
            case PartEnd() if sink is not None:
                await sink.finish(event.content_id)
            case End():
                break
    deviations = dict.fromkeys(parser.deviations)
    if sink is None:
        deviations.pop(Deviation.MTOM_NOT_USED, None)
    return ReadAnswer(
        soap=soap,
        status=answer.status,
        is_soap=True,
        unavailable=answer.unavailable,
        deviations=tuple(str(one) for one in deviations),
    )


async def _events(body: AsyncIterator[bytes], parser: MtomParser) -> AsyncIterator[Event]:
    async for piece in body:
        for event in parser.feed(piece):
            yield event
    for event in parser.close():
        yield event


async def _text(answer: HttpAnswer) -> ReadAnswer:
    """An answer whose type is none of SOAP's: its beginning may still hold a fault."""
    text = bytearray()
    async for piece in answer.body:
        text += piece
        if len(text) > _TEXT_BYTES:
            del text[_TEXT_BYTES:]
            break
    return ReadAnswer(
        soap=bytes(text), status=answer.status, is_soap=False, unavailable=answer.unavailable
    )


def judge_answer(
    answer: ReadAnswer,
    *,
    operation: Operation,
    message_id: str,
    signature: str,
    limits: AnswerLimits,
) -> tuple[Envelope, tuple[str, ...]]:
    """The envelope of a good answer and its deviations; anything else is an error.

    Args:
        answer: as read.
        operation: what was asked.
        message_id: MessageID of our request.
        signature: our request's endorsing signature, which the peer may confirm.
        limits: what the XML may cost.

    Raises:
        AnswerError: ``soap-fault``; ``peer-refused-identity`` for a fault of WS-Security;
            ``answer-not-soap`` for anything that is no SOAP message.
        NetworkFault: ``peer-unavailable`` when a proxy says so.
        WireError: ``addressing-mismatch`` and whatever is wrong with the envelope.
    """
    try:
        envelope = parse_envelope(answer.soap, limits=limits.xml)
    except LimitError:
        raise
    except WireError as error:
        raise _no_answer(answer, limits, error) from error
    fault = read_fault(envelope.body)
    if fault is not None:
        raise _refusal(fault)
    deviations = [
        *envelope.deviations,
        *check_response(
            envelope.addressing, message_id=message_id, actions=(operation.response_action,)
        ),
    ]
    if not answer.is_soap:
        deviations.append(Deviation.CONTENT_TYPE)
    if answer.status != 200:  # noqa: PLR2004 - OK
        deviations.append(AnswerDeviation.HTTP_STATUS)
    if envelope.security is not None:
        confirmed = read_signature_confirmation(envelope.security)
        if confirmed and signature not in confirmed:
            deviations.append(AnswerDeviation.SIGNATURE_CONFIRMATION)
    return envelope, tuple(str(one) for one in deviations)


def _no_answer(answer: ReadAnswer, limits: AnswerLimits, error: WireError) -> NodeError:
    """What a body is that is no SOAP 1.2 envelope."""
    fault = parse_fault(answer.soap, limits=limits.xml)
    if fault is not None:
        return _refusal(fault)
    if answer.unavailable:
        return NetworkFault(
            "peer-unavailable", f"The peer is not available (HTTP {answer.status})."
        )
    if answer.is_soap and answer.status == 200:  # noqa: PLR2004 - OK
        return error
    return AnswerError(
        "answer-not-soap",
        f"The peer's answer is no SOAP message (HTTP {answer.status}).",
        detail=error.code,
    )


def _refusal(fault: Fault) -> AnswerError:
    """A fault as an error; one of WS-Security means that the peer does not accept who we are."""
    for subcode in (fault.subcode, fault.inner_subcode):
        if subcode is not None and subcode.startswith((f"{{{WSSE}}}", f"{{{WSU}}}")):
            return AnswerError(
                "peer-refused-identity",
                "The peer did not accept our assertion or certificate "
                f"({subcode.rpartition('}')[2][:40]}).",
                fault=fault.code,
                subcode=known_subcode(fault),
                soap_11=Deviation.FAULT_SOAP_11 in fault.deviations,
            )
    return answer_error(fault)
