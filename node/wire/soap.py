"""SOAP 1.2 envelopes: bytes to ``Envelope`` and back.

Reading is tolerant where partners are known to deviate and names each deviation; it refuses what
has no safe meaning: SOAP 1.1, no or several body elements, and a header block that must be
understood and is not. Those refusals are ``WireError``s whose SOAP fault is
``node.wire.faults.fault_for``.

Nothing read here is proved: claims of the Security header count only after ``trust`` has verified
them (DESIGN law 2). An answer is written around the already serialised body, so that signed octets
are never rewritten.

Example::

    envelope = parse_envelope(data, limits=limits)
    operation, deviations = addressing.dispatch(envelope.addressing, envelope.body_name)
    ...
    data = build_response(
        request=envelope.addressing,
        action=operation.response_action,
        message_id=new_id,
        body=answer,
    )

Sources: W3C SOAP 1.2 part 1, 5.1 to 5.3; ITI TF-2 Appendix V.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from node.errors import WireError
from node.wire.addressing import Addressing, build_addressing, parse_addressing, reply
from node.wire.names import SOAP, SOAP_11, WSA, WSSE, Deviation
from node.wire.xml import XmlLimits, children, local_name, namespace, parse, serialize

__all__ = ["Envelope", "XmlLimits", "build_envelope", "build_response", "parse_envelope"]

_ENVELOPE = f"{{{SOAP}}}Envelope"
_HEADER = f"{{{SOAP}}}Header"
_BODY = f"{{{SOAP}}}Body"
_SECURITY = f"{{{WSSE}}}Security"
_MUST_UNDERSTAND = f"{{{SOAP}}}mustUnderstand"
_ROLE = f"{{{SOAP}}}role"
_OUR_ROLES = frozenset(
    {
        "",
        f"{SOAP}/role/next",
        f"{SOAP}/role/ultimateReceiver",
    }
)
_MAX_NAME = 256
_TRUE = frozenset({"1", "true"})
_FALSE = frozenset({"0", "false"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """One parsed SOAP message.

    Attributes:
        addressing: its WS-Addressing properties.
        root: the Envelope element.
        body: the one child of the Body.
        security: the WS-Security header, unverified, or ``None``.
        deviations: names of the deviations tolerated so far, each once.
    """

    addressing: Addressing
    root: etree._Element
    body: etree._Element
    security: etree._Element | None
    deviations: tuple[str, ...] = ()

    @property
    def body_name(self) -> str:
        """Qualified name of the body element in Clark notation."""
        return str(self.body.tag)


def parse_envelope(data: bytes, *, limits: XmlLimits) -> Envelope:
    """Parse one SOAP 1.2 message.

    Raises:
        LimitError: ``xml-limit``.
        WireError: ``xml-doctype``, ``xml-malformed``; ``soap-version`` for an Envelope of another
            SOAP version; ``soap-malformed`` for what is no envelope with exactly one body element;
            ``soap-not-understood`` for an unknown header block that must be understood (its name is
            in ``where``); ``addressing-invalid``.
    """
    root = parse(data, limits=limits)
    if root.tag != _ENVELOPE:
        if local_name(root) == "Envelope":
            version = "1.1" if namespace(root) == SOAP_11 else "unknown"
            raise WireError(
                "soap-version", "The message is not SOAP 1.2.", detail=f"SOAP version {version}"
            )
        raise WireError("soap-malformed", "The message is not a SOAP envelope.")
    header, body, deviations = _parts(root)
    security = _check_header(header, deviations) if header is not None else None
    content = list(children(body))
    if len(content) != 1:
        raise WireError("soap-malformed", "The SOAP body does not have exactly one element.")
    if (body.text or "").strip() or any((child.tail or "").strip() for child in body):
        deviations[Deviation.TEXT_BESIDE_BODY] = None
    addressing, more = parse_addressing(header)
    deviations.update(dict.fromkeys(more))
    return Envelope(
        addressing=addressing,
        root=root,
        body=content[0],
        security=security,
        deviations=tuple(deviations),
    )


def _parts(
    root: etree._Element,
) -> tuple[etree._Element | None, etree._Element, dict[Deviation, None]]:
    """The Header (or ``None``) and the Body of an envelope, which has nothing else."""
    parts = list(children(root))
    header = parts.pop(0) if parts and parts[0].tag == _HEADER else None
    if len(parts) != 1 or parts[0].tag != _BODY:
        raise WireError(
            "soap-malformed", "The SOAP envelope is not one optional Header and one Body."
        )
    return header, parts[0], {}


def _check_header(
    header: etree._Element, deviations: dict[Deviation, None]
) -> etree._Element | None:
    """Refuse blocks that must be understood and are not; returns the Security block."""
    security: list[etree._Element] = []
    for block in children(header):
        if "mustUnderstand" in block.attrib:
            # metriport and others write the attribute without its namespace: SOAP ignores it
            deviations[Deviation.MUST_UNDERSTAND_UNQUALIFIED] = None
        understood = namespace(block) == WSA or block.tag == _SECURITY
        demanded = block.get(_MUST_UNDERSTAND, "false").strip()
        if demanded not in _TRUE and demanded not in _FALSE:
            deviations[Deviation.MUST_UNDERSTAND_VALUE] = None
        ours = block.get(_ROLE, "").strip() in _OUR_ROLES
        if not understood and ours and demanded not in _FALSE:
            raise WireError(
                "soap-not-understood",
                "A SOAP header block must be understood and is not.",
                where=str(block.tag) if len(block.tag) <= _MAX_NAME else None,
            )
        if block.tag == _SECURITY and ours:
            security.append(block)
    if len(security) > 1:
        raise WireError("soap-malformed", "The message has more than one Security header for us.")
    return security[0] if security else None


def build_envelope(
    *,
    addressing: Addressing,
    body: etree._Element | bytes,
    security: etree._Element | bytes | None = None,
    headers: Sequence[etree._Element] = (),
) -> bytes:
    """Write one SOAP 1.2 message.

    Args:
        addressing: its WS-Addressing properties; To and Action get ``mustUnderstand``.
        body: the body element, or its serialised octets (UTF-8, no XML declaration, every
            namespace declared inside).
        security: the Security header in the same two forms, with its own ``mustUnderstand``.
            Octets are put in as they are, so what was signed stays as it was signed.
        headers: further header blocks.

    Raises:
        WireError: ``addressing-invalid`` when a property is no absolute URI.
    """
    return b"".join(
        (
            b'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope xmlns:soap="',
            SOAP.encode(),
            b'"><soap:Header>',
            build_addressing(addressing),
            _octets(security),
            *map(serialize, headers),
            b"</soap:Header><soap:Body>",
            _octets(body),
            b"</soap:Body></soap:Envelope>",
        )
    )


def build_response(
    *,
    request: Addressing,
    action: str,
    message_id: str,
    body: etree._Element | bytes,
    security: etree._Element | bytes | None = None,
) -> bytes:
    """Write the synchronous answer to a request: RelatesTo is its MessageID byte for byte.

    Raises:
        WireError: ``addressing-invalid`` when the action or our message id is no absolute URI.
    """
    addressing = reply(request, action=action, message_id=message_id)
    return build_envelope(addressing=addressing, body=body, security=security)


def _octets(part: etree._Element | bytes | None) -> bytes:
    if part is None:
        return b""
    return part if isinstance(part, bytes) else serialize(part)
