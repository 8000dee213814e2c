"""WS-Addressing 1.0 headers: reading them tolerantly, writing them strictly, judging them.

Reading never fails for what partners are known to send (facts: ihe-wire 1.3): white space around
values, ``mustUnderstand`` without a namespace, a MessageID that is no URN. Each such thing is named
in the returned deviations. What no receiver can act on (two Actions, an id of unbounded length) is
a ``WireError``.

``dispatch`` says which transaction a request is; ``check_response`` says whether an answer belongs
to our request. A ``ReplyTo`` that is not anonymous is only recognised here
(``Addressing.asynchronous``): whether the node calls back is the caller's decision.

Sources: W3C WS-Addressing 1.0 Core 3.2 to 3.4 and SOAP Binding 6; ITI TF-2 Appendix V.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from node.errors import WireError
from node.model import Transaction
from node.wire.names import (
    ANONYMOUS,
    NO_REPLY,
    OPERATIONS,
    RELATIONSHIP_REPLY,
    SOAP,
    WSA,
    Deviation,
    Operation,
)
from node.wire.xml import escape, local_name, namespace, text

_MAX_VALUE = 2048
_MAX_ID = 256
_MAX_DEMANDED = 1024
_URN_UUID = re.compile(
    r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", re.ASCII)
_ONCE = ("Action", "MessageID", "To", "ReplyTo", "FaultTo", "From")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """The WS-Addressing properties of one message; absent is ``None``.

    ``message_id`` and ``relates_to`` are the values as received without white space and
    otherwise unchanged: an answer repeats them byte for byte. ``reply_to`` and ``fault_to`` are the
    addresses inside the endpoint references.
    """

    action: str | None = None
    message_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    relates_to: str | None = None
    fault_to: str | None = None

    @property
    def asynchronous(self) -> bool:
        """Whether the sender asks for the answer elsewhere than on this connection."""
        return any(to not in (None, ANONYMOUS) for to in (self.reply_to, self.fault_to))

    @property
    def no_reply(self) -> bool:
        """Whether the sender wants no answer at all."""
        return self.reply_to == NO_REPLY


def parse_addressing(header: etree._Element | None) -> tuple[Addressing, tuple[Deviation, ...]]:
    """Read the WS-Addressing blocks of a SOAP header.

    Raises:
        WireError: ``addressing-invalid`` when a property is given twice or is longer than 2,048
            characters (ids: 256).
    """
    found: dict[str, str] = {}
    deviations: dict[Deviation, None] = {}
    for block in header if header is not None else ():
        if not isinstance(block.tag, str):
            continue
        if namespace(block) != WSA:
            if "/ws/2004/" in namespace(block) and "addressing" in namespace(block):
                deviations[Deviation.ADDRESSING_NAMESPACE] = None
            continue
        name = local_name(block)
        if name == "RelatesTo":
            if block.get("RelationshipType", RELATIONSHIP_REPLY) != RELATIONSHIP_REPLY:
                continue
        elif name not in _ONCE:
            continue
        value = _value(block, deviations)
        if name in found:
            raise WireError(
                "addressing-invalid",
                f"The message has more than one WS-Addressing {name}.",
                where=f"{{{WSA}}}{name}",
            )
        found[name] = value
    addressing = Addressing(
        action=found.get("Action") or None,
        message_id=found.get("MessageID") or None,
        to=found.get("To") or None,
        reply_to=found.get("ReplyTo") or None,
        relates_to=found.get("RelatesTo") or None,
        fault_to=found.get("FaultTo") or None,
    )
    return addressing, tuple(deviations)


def _value(block: etree._Element, deviations: dict[Deviation, None]) -> str:
    """The text of a header block, or of the Address inside an endpoint reference."""
    name = local_name(block)
    source: etree._Element | None = block
    if name in ("ReplyTo", "FaultTo", "From"):
        source = block.find(f"{{{WSA}}}Address")
    value = "".join(
        (text(source) or "").split()
    )  # a URI has no white space: pretty-printers add it
    if source is not None and len(value) != len(source.text or ""):
        deviations[Deviation.HEADER_WHITESPACE] = None
    limit = _MAX_ID if name in ("MessageID", "RelatesTo") else _MAX_VALUE
    if len(value) > limit:
        raise WireError(
            "addressing-invalid",
            f"The WS-Addressing {name} is longer than {limit} characters.",
            where=f"{{{WSA}}}{name}",
        )
    return value


def dispatch(
    addressing: Addressing,
    body: str,
    *,
    accept: Iterable[Transaction] = tuple(Transaction),
) -> tuple[Operation, tuple[Deviation, ...]]:
    """Which transaction a request is, by its Action, or by its body where there is none.

    Args:
        addressing: the request's properties.
        body: qualified name of the body element.
        accept: the transactions that this endpoint serves.

    Returns:
        The operation, and the deviations of the request's addressing.

    Raises:
        WireError: ``addressing-action-unsupported`` when the Action is none of ours,
            ``addressing-header-required`` when there is no MessageID to relate an answer to,
            ``soap-body-unexpected`` when the body is not the one the Action names.
    """
    deviations: list[Deviation] = []
    operations = [OPERATIONS[transaction] for transaction in accept]
    local = body.rpartition("}")[2]
    if addressing.action is None:
        deviations.append(Deviation.ACTION_MISSING)
        chosen = next((o for o in operations if _local(o.request) == local), None)
    else:
        chosen = next((o for o in operations if o.request_action == addressing.action), None)
    if chosen is None:
        if addressing.action is None:
            raise WireError(
                "soap-body-unexpected", "The message has no Action and its body is none we serve."
            )
        raise WireError(
            "addressing-action-unsupported",
            "The WS-Addressing Action is not served at this address.",
            where=addressing.action,
        )
    if local != _local(chosen.request):
        raise WireError(
            "soap-body-unexpected", "The body element is not the one that the Action calls for."
        )
    if body != chosen.request:
        deviations.append(Deviation.BODY_NAMESPACE)
    deviations += check_message_id(addressing)
    if addressing.to is None:
        deviations.append(Deviation.TO_MISSING)
    return chosen, tuple(deviations)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def check_message_id(addressing: Addressing) -> tuple[Deviation, ...]:
    """The request's MessageID exists; not being ``urn:uuid:`` is a deviation.

    Raises:
        WireError: ``addressing-header-required`` when there is none.
    """
    if addressing.message_id is None:
        raise WireError(
            "addressing-header-required",
            "The message has no WS-Addressing MessageID.",
            where=f"{{{WSA}}}MessageID",
        )
    if _URN_UUID.fullmatch(addressing.message_id) is None:
        return (Deviation.MESSAGE_ID_FORM,)
    return ()


def check_response(
    addressing: Addressing, *, message_id: str, actions: Iterable[str] = ()
) -> tuple[Deviation, ...]:
    """Judge the addressing of an answer that came on the connection of our request.

    Args:
        addressing: the answer's properties.
        message_id: the MessageID that our request carried.
        actions: the Actions that the answer may have; any when empty.

    Returns:
        The deviations: missing or differently written RelatesTo, missing MessageID, missing or
        unexpected Action.

    Raises:
        WireError: ``addressing-mismatch`` when the answer relates to another message than ours.
    """
    deviations: list[Deviation] = []
    if addressing.relates_to is None:
        deviations.append(Deviation.RELATES_TO_MISSING)
    elif addressing.relates_to != message_id:
        if _bare_uuid(addressing.relates_to) != _bare_uuid(message_id):
            raise WireError(
                "addressing-mismatch", "The answer relates to another message than the one we sent."
            )
        deviations.append(Deviation.RELATES_TO_FORM)
    expected = tuple(actions)
    if addressing.action is None:
        deviations.append(Deviation.ACTION_MISSING)
    elif expected and addressing.action not in expected:
        deviations.append(Deviation.ACTION_UNEXPECTED)
    if addressing.message_id is None:
        deviations.append(Deviation.MESSAGE_ID_MISSING)
    return tuple(deviations)


def _bare_uuid(text: str) -> str:
    return text.lower().removeprefix("urn:").removeprefix("uuid:")


def reply(request: Addressing, *, action: str, message_id: str) -> Addressing:
    """The properties of the synchronous answer to a request.

    RelatesTo repeats the request's MessageID byte for byte; a request without one has no RelatesTo.
    """
    return Addressing(
        action=action,
        message_id=message_id,
        to=ANONYMOUS,
        relates_to=request.message_id,
    )


def build_addressing(addressing: Addressing) -> bytes:
    """The header blocks as XML text for inside a SOAP 1.2 header whose prefix is ``soap``.

    Each block declares its own namespaces, so that the text may stand anywhere.

    Raises:
        WireError: ``addressing-invalid`` when a value is not an absolute URI without white space,
            or when there is no Action: what we send conforms.
    """
    if addressing.action is None:
        raise WireError("addressing-invalid", "A message needs a WS-Addressing Action.")
    return "".join(
        (
            _demanded("To", addressing.to),
            _demanded("Action", addressing.action),
            _block("MessageID", addressing.message_id),
            _block("RelatesTo", addressing.relates_to),
            _reference("ReplyTo", addressing.reply_to),
            _reference("FaultTo", addressing.fault_to),
        )
    ).encode()


def _checked(name: str, value: str) -> str:
    # RelatesTo repeats what the peer sent, whatever that was; the rest is ours and must be a URI.
    if len(value) > _MAX_VALUE or (name != "RelatesTo" and _URI.fullmatch(value) is None):
        raise WireError("addressing-invalid", f"The WS-Addressing {name} is not an absolute URI.")
    return escape(value)


@lru_cache(maxsize=_MAX_DEMANDED)
def _demanded(name: str, value: str | None) -> str:
    """A block that must be understood: Actions and addresses are few, and stand in each message."""
    return _block(name, value, f' xmlns:soap="{SOAP}" soap:mustUnderstand="true"')


def _block(name: str, value: str | None, attribute: str = "") -> str:
    if value is None:
        return ""
    return f'<wsa:{name} xmlns:wsa="{WSA}"{attribute}>{_checked(name, value)}</wsa:{name}>'


def _reference(name: str, value: str | None) -> str:
    if value is None:
        return ""
    address = f"<wsa:Address>{_checked(name, value)}</wsa:Address>"
    return f'<wsa:{name} xmlns:wsa="{WSA}">{address}</wsa:{name}>'
