"""Judges what came back for the message: SOAP or not, assertion taken, an answer. Pure.

One message tells of three layers. A SOAP fault shows that SOAP 1.2 is spoken; one of WS-Security
says that our assertion is not taken, any other that it got that far. An answer of the transaction,
also one that reports an application error, shows that the assertion was taken.
"""

from __future__ import annotations

from node.errors import AnswerError, CodedError
from node.model import (
    DiscoveryAnswer,
    MatchStatus,
    Outcome,
    QueryAnswer,
    RetrieveAnswer,
)
from node.probe.layers import Layer, LayerResult, State, found, layer_of, not_reached, ok
from node.probe.observed import Reply
from node.probe.synthetic import is_named, is_test_patient

_ORDER = (Layer.SOAP, Layer.SAML, Layer.ANSWER)
_GOOD = {
    Layer.SOAP: "The peer answers in SOAP 1.2.",
    Layer.SAML: "The peer took our signed assertion.",
}
_FAULTS = {
    "Sender": "fault-sender",
    "MustUnderstand": "fault-must-understand",
    "VersionMismatch": "soap-version",
}
_SOAP_FAULTS = frozenset({"MustUnderstand", "VersionMismatch", "DataEncodingUnknown"})
_ADDRESSING = frozenset({"ActionNotSupported", "DestinationUnreachable", "EndpointUnavailable"})


def judge_reply(reply: Reply) -> tuple[LayerResult, ...]:
    """The three layers that one message tells of."""
    if isinstance(reply.error, AnswerError) and reply.error.fault is not None:
        return _up_to(_of_fault(reply.error))
    if reply.error is not None or reply.answer is None:
        return _up_to(_of_error(reply))
    return _up_to(_of_answer(reply))


def _up_to(last: LayerResult) -> tuple[LayerResult, ...]:
    """What lies below a finding is in order, what lies above was not reached."""
    place = _ORDER.index(last.layer) if last.layer in _ORDER else -1
    below = tuple(ok(layer, _GOOD[layer]) for layer in _ORDER[: max(place, 0)])
    rest = tuple(
        not_reached(layer, "There was no answer that says anything of it.")
        for layer in _ORDER[place + 1 :]
    )
    return (*below, last, *rest)


def _of_fault(error: AnswerError) -> LayerResult:
    sentence, subcode = error.sentence, error.subcode
    if error.soap_11:
        return found(Layer.SOAP, "soap-version", f"{sentence} It is one of SOAP 1.1.")
    if error.code == "peer-refused-identity":
        code = f"saml-{subcode}" if subcode else error.code
        return found(
            Layer.SAML, code, sentence, facts={"subcode": subcode or "not of the standard"}
        )
    if subcode in _ADDRESSING:
        return found(Layer.SOAP, "action-not-supported", sentence)
    code = _FAULTS.get(error.fault or "", "fault-receiver")
    layer = Layer.SOAP if error.fault in _SOAP_FAULTS else Layer.ANSWER
    return found(layer, code, sentence)


def _of_error(reply: Reply) -> LayerResult:
    error: CodedError | None = reply.error
    code = error.code if error is not None else reply.leg.reason or "timeout"
    sentence = error.sentence if error is not None else reply.leg.sentence
    return found(layer_of(code), code, sentence or "The peer gave no answer.")


def _of_answer(reply: Reply) -> LayerResult:
    answer, took = reply.answer, f"in {reply.leg.duration_ms} ms"
    if isinstance(answer, DiscoveryAnswer) and answer.matches:
        return _of_matches(answer, took)
    if isinstance(answer, RetrieveAnswer) and answer.documents:
        return _foreign_documents(len(answer.documents))
    if isinstance(answer, QueryAnswer) and (answer.documents or answer.refs):
        return _foreign_documents(len(answer.documents) + len(answer.refs))
    if isinstance(answer, DiscoveryAnswer):
        return _of_no_match(reply, answer, took)
    # an error for an id that nobody has is as good an answer as an empty list
    reason = f": {reply.leg.reason}" if reply.leg.reason else ""
    return ok(Layer.ANSWER, f"It answered {took} that it holds nothing of the kind{reason}.")


def _of_matches(answer: DiscoveryAnswer, took: str) -> LayerResult:
    if all(is_test_patient(match) for match in answer.matches):
        return ok(Layer.ANSWER, f"It answered {took} with its test patient.")
    if not all(is_named(match) for match in answer.matches):
        sentence = "It answered the test patient with a match that has no name."
        return found(Layer.ANSWER, "match-unnamed", sentence)
    sentence = "It answered the question for the test patient with somebody else's identity."
    return found(Layer.ANSWER, "match-foreign", sentence)


def _of_no_match(reply: Reply, answer: DiscoveryAnswer, took: str) -> LayerResult:
    leg = reply.leg
    if answer.asks:
        sentence = f"It answered {took} and asks for more about the person."
        return found(Layer.ANSWER, "asks-more", sentence, state=State.WARN)
    if leg.outcome is Outcome.DECLINED:
        sentence = f"It answered {took} that it declines ({leg.reason})."
        return found(Layer.ANSWER, "declined", sentence, state=State.WARN)
    if answer.problem is not None or answer.status in (MatchStatus.AE, MatchStatus.QE):
        sentence = f"It answered {took} that it could not process the question ({leg.reason})."
        return found(Layer.ANSWER, "responder-error", sentence)
    return ok(Layer.ANSWER, f"It answered {took} that it knows nobody of that name.")


def _foreign_documents(count: int) -> LayerResult:
    sentence = f"It answered a question about nobody with {count} documents."
    return found(Layer.ANSWER, "unexpected-documents", sentence)
