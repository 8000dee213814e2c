"""One session with the mail server (RFC 5321, by the standard library): TLS or nothing is sent.

What the server writes is not passed on: only its number is.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from enum import StrEnum
from typing import Final

from node.errors import CodedError, NetworkFault, OurFault, TheirFault
from trust.tls import explain

_PERMANENT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where it is, how it is reached, and who we are there.

    Attributes:
        host, port: the address; ``host`` is also whom its certificate has to name.
        security: ``starttls``, ``tls`` or ``none``.
        context: makes what judges its certificate.
        user, password: our account; empty for none.
        seconds: how long each step may take.
        name: how we greet it.
    """

    host: str
    port: int
    security: str
    context: Callable[[], ssl.SSLContext]
    user: str
    password: str = field(repr=False)
    seconds: float
    name: str


class Step(StrEnum):
    """What a session consists of, in order."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    AUTHENTICATION = "authentication"
    ACCEPTED = "accepted"


Reached = Callable[[Step, str], None]
"""Told of each step that went well and what was seen; an empty text where none was due."""


def _unwatched(step: Step, seen: str) -> None:
    """Nobody watches."""


OF_ONE: Final = frozenset(
    {"mail-recipient-refused", "mail-sender-refused", "mail-content-refused", "mail-put-off"}
)
"""Codes that are about one message: the session goes on."""

LASTING: Final = frozenset({"mail-recipient-refused", "mail-content-refused"})
"""Those after which it is not asked again."""


@contextmanager
def session(
    server: Server, reached: Reached = _unwatched
) -> Iterator[Callable[[EmailMessage], None]]:
    """Connect and sign in; what is yielded sends one message to the address in its ``To``.

    Raises:
        NetworkFault: ``mail-unreachable``.
        TheirFault: ``mail-server-refused``, ``mail-without-tls``; of what is yielded, for this
            message alone, one of ``OF_ONE``.
        OurFault: ``mail-not-admitted``.
    """
    smtp = _connected(server, reached)
    try:
        with _told():
            _prepared(smtp, server, reached)

        def send(message: EmailMessage) -> None:
            with _told():
                _send(smtp, message)
            reached(Step.ACCEPTED, "The mail server took the message.")

        yield send
    finally:
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        smtp.close()


def _connected(server: Server, reached: Reached) -> smtplib.SMTP:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label that IDNA does not allow
        raise _unreachable(error, "The mail server's name cannot be resolved.") from error
    reached(Step.RESOLVE, ", ".join(dict.fromkeys(str(each[4][0]) for each in found)))
    taken = f"Port {server.port} takes connections"
    where = server.host, server.port, server.name
    try:
        with _told():
            if server.security == "tls":
                context = server.context()
                smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                    *where, timeout=server.seconds, context=context
                )
            else:
                smtp = smtplib.SMTP(*where, timeout=server.seconds)
    except CodedError as error:
        if isinstance(error.__cause__, ssl.SSLError):  # not tried before a connection stood
            reached(Step.CONNECT, f"{taken}.")
        raise
    reached(Step.CONNECT, f"{taken}, and a mail server greets us.")
    return smtp


def _prepared(smtp: smtplib.SMTP, server: Server, reached: Reached) -> None:
    if server.security == "starttls":
        smtp.starttls(context=server.context())  # refused where the server does not offer it
    reached(Step.TLS, _protocol(smtp))
    if server.user:
        smtp.login(server.user, server.password)
    reached(Step.AUTHENTICATION, "The mail server admits us." if server.user else "")


def _protocol(smtp: smtplib.SMTP) -> str:
    if not isinstance(smtp.sock, ssl.SSLSocket):
        return ""
    return f"{smtp.sock.version()}; the certificate is believed and names the server."


def _send(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    try:
        smtp.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        reply = next(iter(error.recipients.values()))[0]
        raise _refused("mail-recipient-refused", "for this address", reply) from None
    except smtplib.SMTPSenderRefused as error:
        raise _refused("mail-sender-refused", "from our address", error.smtp_code) from None
    except smtplib.SMTPDataError as error:
        raise _refused("mail-content-refused", "with this content", error.smtp_code) from None


def _refused(code: str, what: str, reply: int) -> TheirFault:
    if reply < _PERMANENT:
        code = "mail-put-off"
    sentence = f"The mail server took no message {what}."
    return TheirFault(code, sentence, detail=f"SMTP {reply}")


@contextmanager
def _told() -> Iterator[None]:
    """What went wrong with the session, in our words."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        finding = explain(error)
        raise TheirFault(
            "mail-server-refused",
            f"The mail server is not believed, and nothing was sent. {finding.sentence}",
            detail=finding.code,
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise TheirFault(
            "mail-without-tls",
            "The mail server does not offer what the settings demand, and nothing was sent.",
        ) from error
    except smtplib.SMTPAuthenticationError as error:
        raise OurFault(
            "mail-not-admitted",
            "The mail server does not admit us.",
            detail=f"SMTP {error.smtp_code}",
        ) from None
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError) as error:
        raise _unreachable(error, "The mail server ended the session, or did not begin one.") from (
            error
        )
    except ssl.SSLError as error:
        raise _unreachable(error, explain(error).sentence) from error
    except (smtplib.SMTPException, OSError) as error:
        raise _unreachable(error, "The mail server cannot be reached.") from error


def _unreachable(error: Exception, sentence: str) -> CodedError:
    code = getattr(error, "smtp_code", None)
    detail = f"SMTP {code}" if isinstance(code, int) and code > 0 else type(error).__name__
    return NetworkFault("mail-unreachable", sentence, detail=detail)
