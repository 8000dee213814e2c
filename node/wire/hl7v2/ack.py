"""The answer to a message: MSH, MSA and, where something is wrong, ERR (HL7 v2 2.9.2, 2.15.5).

``AA`` the message is taken, or is of no use and nothing is wrong with it; ``AE`` something in it is
wrong, so that sending it again is of no use; ``AR`` it is of a kind that is not taken, or we could
not take it: ``207`` says that it may be sent again.
"""

from __future__ import annotations

from datetime import UTC, datetime

from node.model import hl7_escaped
from node.wire.hl7v2.adt import Header
from node.wire.hl7v2.refusals import Refusal

OURS = Refusal(
    code="encounters-not-taken",
    sentence="The node could not take the message; send it again.",
    ack="AR",
    error="207",
)
"""What the sender is told where our side fails."""


def acknowledgement(
    header: Header, refusal: Refusal | None, *, control_id: str, now: datetime
) -> bytes:
    """The answer, in UTF-8, with the ordinary separators; nothing of a patient is in it.

    Args:
        header: of the message that is answered.
        refusal: why it was not used, or ``None``.
        control_id: of the answer itself.
        now: the current time.
    """
    fields = [_plain(text) for text in (*header.receiver, *header.sender)]
    event = f"^{_plain(header.event)}" if header.event else ""
    code = refusal.ack if refusal else "AA"
    head = (
        f"MSH|^~\\&|{'|'.join(fields)}|{now.astimezone(UTC):%Y%m%d%H%M%S}+0000||ACK{event}^ACK"
        f"|{_plain(control_id)}|{_plain(header.processing)}|{_plain(header.version)}"
        "||||||UNICODE UTF-8"
    )
    lines = [head, f"MSA|{code}|{_plain(header.control_id)}"]
    if refusal is not None and refusal.ack != "AA":
        lines.append(f"ERR|||{refusal.error}|E|{refusal.code}|||{_plain(refusal.sentence)}")
    return "".join(f"{line}\r" for line in lines).encode()


def _plain(text: str) -> str:
    """A text of the other side as one value: escaped, without control characters."""
    return hl7_escaped("".join(each for each in text if each.isprintable()))
