"""The node's errors. Our fault, their fault and the network's fault are different types.

``NodeError`` is the root; ``TrustError`` and ``DirectoryError`` come from their own packages with
the same fields. Refusals, empty and partial answers are values (``node.model.Outcome``), never
errors.
"""

from __future__ import annotations

from trust.errors import CodedError, Party, TrustError

__all__ = [
    "AnswerError",
    "CodedError",
    "LimitError",
    "LogError",
    "NetworkFault",
    "NodeError",
    "OurFault",
    "Party",
    "SettingsError",
    "TheirFault",
    "TrustError",
    "WireError",
]


class NodeError(CodedError):
    """Root of the node's own errors; the codes are in ``node/data/errors.toml``."""

    table_package = "node"


class OurFault(NodeError):
    """A bug or a misconfiguration on our side."""


class SettingsError(OurFault):
    """A setting, file or folder of the node home is missing or wrong."""


class TheirFault(NodeError):
    """The peer broke a rule of the protocol."""


class WireError(TheirFault):
    """Bytes that are not the message they claim to be (XML, SOAP, MTOM, HL7 v3, ebXML, CDA)."""


class LimitError(WireError):
    """A message exceeds a limit of ours (size, depth, count)."""


class AnswerError(TheirFault):
    """A well-formed answer that says the peer could not do it (SOAP fault, application error).

    Attributes:
        fault: the code of a SOAP fault, or ``None`` when it is none.
        subcode: local name of its subcode, where that is one the standards define.
        soap_11: whether the fault is one of SOAP 1.1.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        detail: str | None = None,
        where: str | None = None,
        fault: str | None = None,
        subcode: str | None = None,
        soap_11: bool = False,
    ) -> None:
        """As ``CodedError``, and what is known of the fault."""
        super().__init__(code, sentence, detail=detail, where=where)
        self.fault = fault
        self.subcode = subcode
        self.soap_11 = soap_11


class LogError(NodeError):
    """A sealed log, or a proof about one, does not hold or cannot be read."""


class NetworkFault(NodeError):
    """Neither side's rule was broken: DNS, connect, TLS handshake, reset, time-out."""
