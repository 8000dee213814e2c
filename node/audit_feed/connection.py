"""One TLS connection to an audit repository, and whether what was sent on it has arrived.

Syslog has no acknowledgements (RFC 5425 has none, and a write that succeeds says only that our own
kernel has the bytes). What can be known is this: we end our side (TLS ``close_notify``, then TCP),
and the repository ends its side. If its end comes without a reset, and its TCP has acknowledged
every byte of ours, then its program had read everything before it closed: a program that closes
with unread bytes, or before they came, answers them with a reset. ``finish`` waits for that, and
what was sent since the connection was opened counts as delivered only then.

Behind a TLS proxy this says that the proxy has it.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
import time
from dataclasses import dataclass
from typing import Final

from node.errors import NetworkFault, NodeError, OurFault, TheirFault
from trust.tls import explain

_OUR_END: Final = 1
"""The sequence number that our own FIN takes, which the other side need not have acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where it is, whom to believe that it is it, and for how many seconds to wait."""

    host: str
    port: int
    context: ssl.SSLContext
    seconds: float

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.host}:{self.port}"


class Connection:
    """An open connection; blocking, for one thread."""

    def __init__(self, repository: Repository) -> None:
        """Connect.

        Raises:
            NetworkFault: ``audit-unreachable``.
            TheirFault: ``audit-server-refused``: its certificate is not one to be believed;
                ``audit-refused``: it wants none of ours.
        """
        self._repository = repository
        self.opened = time.monotonic()
        address = repository.host, repository.port
        try:
            plain = socket.create_connection(address, repository.seconds)
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            self._tls = repository.context.wrap_socket(plain, server_hostname=repository.host)
        except OSError as error:
            plain.close()
            of_tls = isinstance(error, ssl.SSLError)
            raise (self._fault if of_tls else self._unreachable)(error) from error

    @property
    def protocol(self) -> str:
        """The TLS version, such as ``TLSv1.3``."""
        return self._tls.version() or "unknown"

    def send(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            NodeError: as the constructor, or ``audit-interrupted``.
        """
        try:
            self._tls.sendall(data)
        except OSError as error:
            raise self._fault(error) from error

    def check(self) -> None:
        """See that the repository has not ended the connection.

        Raises:
            NodeError: as ``send``.
        """
        self._tls.settimeout(0)
        try:
            if not self._tls.recv(1):
                raise self._interrupted(None)
        except ssl.SSLWantReadError:
            return
        except OSError as error:
            raise self._fault(error) from error
        finally:
            self._tls.settimeout(self._repository.seconds)

    def finish(self) -> None:
        """End it, and see that everything arrived.

        Raises:
            NodeError: as ``send``: then none of it may have.
        """
        try:
            self._say_end()
            with socket.socket(fileno=self._tls.detach()) as plain:
                self._read_end(plain)
        except OSError as error:
            raise self._fault(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Drop it."""
        self._tls.close()

    def _say_end(self) -> None:
        """``close_notify``, and the repository's, where it sends one."""
        try:
            self._tls.unwrap()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, TimeoutError):
            return  # it ends the connection without one, or waits for the end of ours
        except ssl.SSLError as error:
            if error.reason == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
                return
            raise

    def _read_end(self, plain: socket.socket) -> None:
        deadline = time.monotonic() + self._repository.seconds
        plain.shutdown(socket.SHUT_WR)
        plain.settimeout(self._repository.seconds)
        while plain.recv(4096):
            if time.monotonic() > deadline:
                raise TimeoutError
        waiting = struct.unpack("i", fcntl.ioctl(plain, termios.TIOCOUTQ, bytes(4)))[0]
        problem = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem or waiting > _OUR_END:
            raise self._interrupted(None)

    def _fault(self, error: OSError) -> NodeError:
        match error:
            case ssl.SSLCertVerificationError():
                finding = explain(error)
                return TheirFault(
                    "audit-server-refused",
                    f"The audit repository is not believed. {finding.sentence}",
                    where=self._repository.name,
                    detail=finding.code,
                )
            case ssl.SSLError() if "ALERT" in (error.reason or ""):
                return TheirFault(
                    "audit-refused",
                    f"The audit repository refused the connection. {explain(error).sentence}",
                    where=self._repository.name,
                )
            case _:
                return self._interrupted(error)

    def _interrupted(self, error: OSError | None) -> NetworkFault:
        return NetworkFault(
            "audit-interrupted",
            "The connection to the audit repository ended before everything had arrived.",
            where=self._repository.name,
            detail=type(error).__name__ if error else None,
        )

    def _unreachable(self, error: OSError) -> NodeError:
        if isinstance(error, UnicodeError):
            return OurFault("audit-unreachable", "The audit repository's name is none.")
        return NetworkFault(
            "audit-unreachable",
            f"The audit repository cannot be reached: {error.strerror or 'no answer in time'}.",
            where=self._repository.name,
        )
