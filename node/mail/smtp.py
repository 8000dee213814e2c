"""One session with the mail server (RFC 5321, by the standard library): TLS or nothing is sent.

What the server writes is not passed on: only its number is.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
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


OF_ONE: Final = frozenset(
    {"mail-recipient-refused", "mail-sender-refused", "mail-content-refused", "mail-put-off"}
)
"""Codes that are about one message: the session goes on."""

LASTING: Final = frozenset({"mail-recipient-refused", "mail-content-refused"})
"""Those after which it is not asked again."""


@contextmanager
def session(server: Server) -> Iterator[Callable[[EmailMessage], None]]:
    """Connect and sign in; what is yielded sends one message to the address in its ``To``.

    Raises:
        NetworkFault: ``mail-unreachable``.
        TheirFault: ``mail-server-refused``, ``mail-without-tls``; of what is yielded, for this
            message alone, one of ``OF_ONE``.
        OurFault: ``mail-not-admitted``.
    """
    with _told():
        smtp = _connected(server)
    try:
        with _told():
            _prepared(smtp, server)

        def send(message: EmailMessage) -> None:
            with _told():
                _send(smtp, message)

        yield send
    finally:
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        smtp.close()


def _connected(server: Server) -> smtplib.SMTP:
    where = server.host, server.port
    if server.security == "tls":
        return smtplib.SMTP_SSL(
            *where, server.name, timeout=server.seconds, context=server.context()
        )
    return smtplib.SMTP(*where, server.name, timeout=server.seconds)


def _prepared(smtp: smtplib.SMTP, server: Server) -> None:
    if server.security == "starttls":
        smtp.starttls(context=server.context())  # refused where the server does not offer it
    if server.user:
        smtp.login(server.user, server.password)


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
    except (smtplib.SMTPException, OSError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> CodedError:
    code = getattr(error, "smtp_code", None)
    return NetworkFault(
        "mail-unreachable",
        "The mail server cannot be reached, or ended the session.",
        detail=f"SMTP {code}" if isinstance(code, int) and code > 0 else type(error).__name__,
    )
