"""The network as it is: ``observed.Network`` over asyncio's resolver and sockets.

Every wait has its limit, every connection is closed, and what goes wrong is a value.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from node.probe.observed import Address, Greeting, Handshake, Reached, Resolution, Trouble
from trust.tls_observer import ClientIdentity, TlsObservation, TlsObserver

_PIECE = 16 * 1024
_MAX_ADDRESSES = 16
_MAX_HANDSHAKE = 256 * 1024
_ALERT_SECONDS = 0.3  # TLS 1.3: how long a server's objection to our certificate may take
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits in seconds: of a name, of one connection, of a handshake, of the first answer."""

    name: float = 5.0
    connect: float = 5.0
    handshake: float = 10.0


class SocketNetwork:
    """Implements ``observed.Network``."""

    def __init__(self, identity: ClientIdentity, patience: Patience) -> None:
        """``identity`` is shown to every server that asks for one."""
        self._identity = identity
        self._patience = patience

    async def resolve(self, host: str, port: int) -> Resolution:
        """All addresses, in the order in which the system would try them."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience.name):
                rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            return Resolution(trouble=Trouble.NO_NAME_SERVER)
        except (socket.gaierror, UnicodeError) as error:
            return Resolution(trouble=_name_trouble(error))
        addresses = dict.fromkeys(
            Address(host=str(row[4][0]), port=port, version=6 if row[0] is socket.AF_INET6 else 4)
            for row in rows
        )
        return Resolution(addresses=tuple(addresses)[:_MAX_ADDRESSES])

    async def connect(self, addresses: Sequence[Address]) -> list[Reached]:
        """Every address side by side."""
        return list(await asyncio.gather(*(self._reach(address) for address in addresses)))

    async def _reach(self, address: Address) -> Reached:
        start, trouble = time.monotonic(), None
        try:
            async with asyncio.timeout(self._patience.connect):
                _, writer = await asyncio.open_connection(address.host, address.port)
            writer.close()
        except TimeoutError:
            trouble = Trouble.TIMED_OUT
        except OSError as error:
            trouble = _connect_trouble(error)
        return Reached(
            address=address, ms=round((time.monotonic() - start) * 1000), trouble=trouble
        )

    @asynccontextmanager
    async def handshake(self, address: Address, host: str) -> AsyncIterator[Handshake]:
        """One connection, from its handshake to the end of the block."""
        connection = _Connection(TlsObserver(self._identity, host), host, self._patience)
        try:
            await connection.open(address)
            yield connection
        finally:
            await connection.close()


class _Connection:
    """Implements ``observed.Handshake``."""

    def __init__(self, observer: TlsObserver, host: str, patience: Patience) -> None:
        self._observer = observer
        self._host = host
        self._patience = patience
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._received = 0
        self.seen = TlsObservation()
        self.trouble: Trouble | None = None

    async def open(self, address: Address) -> None:
        """Connect and shake hands."""
        try:
            async with asyncio.timeout(self._patience.handshake):
                self._reader, self._writer = await asyncio.open_connection(
                    address.host, address.port
                )
                while not self._observer.advance():
                    await self._flush()
                    if self._observer.failed or not await self._take():
                        break
                await self._flush()
        except TimeoutError:
            self.trouble = Trouble.TIMED_OUT
        except OSError:
            self.trouble = Trouble.CLOSED
        self.seen = self._observer.observed()

    async def greet(self, path: str) -> Greeting:
        """Wait for an objection to our certificate; then ask for the WSDL: that is harmless."""
        answer, trouble = b"", None
        try:
            if self.seen.finished:
                answer = await self._read(_ALERT_SECONDS)
                if not answer and not self._ended():
                    self._observer.send(
                        f"GET {path}?wsdl HTTP/1.1\r\nHost: {self._host}\r\n"
                        "User-Agent: tefca-node\r\nConnection: close\r\n\r\n".encode()
                    )
                    await self._flush()
                    answer = await self._read(self._patience.connect)
        except OSError:
            trouble = Trouble.CLOSED
        seen = self._observer.observed()
        if not answer and trouble is None:
            trouble = self.trouble if self._ended() else Trouble.TIMED_OUT
        status = _STATUS.match(answer)
        return Greeting(
            seen=seen,
            answered=bool(answer),
            status=int(status.group(1)) if status else None,
            trouble=trouble,
        )

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._writer.wait_closed()

    def _ended(self) -> bool:
        return (
            self._observer.failed
            or self.trouble is Trouble.CLOSED
            or self._observer.observed().alert is not None
        )

    async def _read(self, seconds: float) -> bytes:
        """The first application data within some seconds; empty when there is none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (data := self._observer.read()):
                    if self._ended() or not await self._take():
                        return self._observer.read()
                return data
        return b""

    async def _take(self) -> bool:
        """Move what has come to the observer; whether the connection is still open."""
        if self._reader is None or self._received > _MAX_HANDSHAKE:
            return False
        data = await self._reader.read(_PIECE)
        self._received += len(data)
        if not data:
            self.trouble = Trouble.CLOSED
            return False
        self._observer.receive(data)
        return True

    async def _flush(self) -> None:
        if self._writer is not None and (data := self._observer.outgoing()):
            self._writer.write(data)
            await self._writer.drain()


def _name_trouble(error: Exception) -> Trouble:
    missing = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
    if isinstance(error, socket.gaierror) and error.errno not in missing:
        return Trouble.NO_NAME_SERVER
    return Trouble.UNKNOWN_NAME


def _connect_trouble(error: OSError) -> Trouble:
    if isinstance(error, ConnectionRefusedError):
        return Trouble.REFUSED
    if error.errno == errno.ETIMEDOUT:
        return Trouble.TIMED_OUT
    return Trouble.UNREACHABLE if error.errno in _UNREACHABLE else Trouble.FAILED
