"""What a notice says: who, when, which case, and where the console is. No patient, no reason. Pure.

The message-ID is the notice's: whoever gets it twice sees that it is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

BREAK_GLASS: Final = "break-glass"
_MOST_NAME: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Whom notices are from.

    Attributes:
        sender: the address.
        node: the organisation's name.
        environment: as on the console's pages, such as ``TEST``.
        console: the console's address, empty where it is not known.
        zone: the time zone of the console.
    """

    sender: str
    node: str
    environment: str
    console: str
    zone: tzinfo


def glass_message(
    head: Letterhead, *, id_: str, recipient: str, who: str, case: str, at: datetime
) -> EmailMessage:
    """That somebody broke the glass.

    Args:
        head: whom it is from.
        id_: of the notice.
        recipient: the address.
        who: name and login.
        case: the number of the case that opened by itself.
        at: when.
    """
    where = f"{head.console}/cases/{case}" if head.console else "the console, under Review"
    body = (
        f"{plain(who)} broke the glass at {at.astimezone(head.zone):%Y-%m-%d %H:%M %Z}.\n\n"
        f"Case {case} was opened about it and waits for a review:\n{where}\n\n"
        "Neither the patient nor the reason is in this message; the case has them, for who may\n"
        f"read cases. It was sent by the exchange node of {plain(head.node)}"
        f" ({plain(head.environment)})\nto the addresses of mail.break_glass.\n"
    )
    message = _blank(head, id_, recipient, at)
    message["Subject"] = f"Broken glass: case {case}"
    message.set_content(body)
    return message


def trial_message(head: Letterhead, *, id_: str, recipient: str, at: datetime) -> EmailMessage:
    """That the settings of ``[mail]`` work; see ``glass_message``."""
    body = (
        f"The exchange node of {plain(head.node)} ({plain(head.environment)}) can send mail.\n\n"
        "Somebody who runs the node tried it, by `tefca-node mail test`. Nothing happened, and\n"
        "nobody has to do anything.\n"
    )
    message = _blank(head, id_, recipient, at)
    message["Subject"] = "A test of the exchange node's mail"
    message.set_content(body)
    return message


def _blank(head: Letterhead, id_: str, recipient: str, at: datetime) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = head.sender
    message["To"] = recipient
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{id_}@{head.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    return message


def plain(text: str) -> str:
    """A name on one line, without anything that a reader's program could take for more."""
    return "".join(c if c.isprintable() else " " for c in text)[:_MOST_NAME].strip()
