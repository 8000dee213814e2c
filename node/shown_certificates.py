"""The TLS certificates that peers showed in handshakes, kept to know when they end.

The newest one of each organisation and use: what it shows when it asks us, and what its server
shows when we ask it. Only certificates that were bound to the organisation come here, so the
directory bounds them. A request costs a look into a dictionary; the file is written apart from it,
once for a certificate. Nothing is decided by it, so a file that cannot be read begins anew::

    trust/shown/certificates.json
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import structlog
from cryptography import x509
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from node.settings import NodeHome
from trust.certificates import fingerprint
from trust.errors import TrustError
from trust.expiry import Expiring, Kind, Owner
from trust.files import write_file
from trust.usages import Usage

_log = structlog.get_logger(__name__)

MAX_KEPT: Final = 4000
"""Certificates that are kept; those that end first give way."""

MOST: Final = 200
"""Certificates that the calendar lists one by one."""

_MAX_MET: Final = 5 * MAX_KEPT
_MAX_BYTES: Final = 4 * 1024 * 1024
_FORGET: Final = timedelta(days=30)
_SHOWN_DIGITS: Final = 8

Seen = Callable[[str, str, x509.Certificate, Usage], None]
"""Told of an organisation's id, its name, the certificate it showed, and what it showed it as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A certificate that an organisation showed.

    Attributes:
        organization_id: whose it is.
        name: what the directory called the organisation then.
        usage: ``tls-client`` for one that asked us, ``tls-server`` for one that we asked.
        certificate_sha256: which certificate.
    """

    organization_id: str
    name: str
    usage: Usage
    certificate_sha256: str
    not_before: AwareDatetime
    not_after: AwareDatetime

    @property
    def of(self) -> tuple[str, Usage]:
        """What only one certificate is kept for."""
        return self.organization_id, self.usage

    @property
    def age(self) -> tuple[datetime, datetime]:
        """Greater for a newer certificate."""
        return self.not_before, self.not_after


_FILE: TypeAdapter[tuple[Shown, ...]] = TypeAdapter(tuple[Shown, ...])


class ShownCertificates:
    """What a process saw. ``saw`` never waits; ``write`` blocks and belongs into a thread."""

    def __init__(self, home: NodeHome) -> None:
        """Reads what was seen before."""
        self._file = _file(home)
        self._newest = {shown.of: shown for shown in _read(self._file)}
        self._last: dict[tuple[str, Usage], str] = {}
        self._waiting: dict[tuple[str, Usage], Shown] = {}
        self._lock = threading.Lock()

    def saw(self, organization_id: str, name: str, leaf: x509.Certificate, usage: Usage) -> None:
        """An organisation showed a certificate that is bound to it."""
        of, digest = (organization_id, usage), fingerprint(leaf)
        if self._last.get(of) == digest:
            return
        if len(self._last) >= _MAX_MET:
            self._last.clear()
        self._last[of] = digest
        shown = Shown(
            organization_id=organization_id,
            name=name,
            usage=usage,
            certificate_sha256=digest,
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )
        known = self._newest.get(of)
        if known is not None and known.age >= shown.age:
            return
        with self._lock:
            self._newest[of] = self._waiting[of] = shown

    def write(self) -> bool:
        """Write down what is new; gives whether anything was. What fails is tried again."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return False
        try:
            with _locked(self._file):
                kept = {shown.of: shown for shown in _read(self._file)}
                for of, shown in waiting.items():
                    if of not in kept or kept[of].age < shown.age:
                        kept[of] = shown
                lasting = sorted(kept.values(), key=lambda s: s.not_after, reverse=True)[:MAX_KEPT]
                data = orjson.dumps([asdict(shown) for shown in lasting])
                write_file(self._file, data, replace=True)
        except (TrustError, OSError) as error:
            _log.warning("shown.unwritten", code=getattr(error, "code", type(error).__name__))
            with self._lock:
                self._waiting = waiting | self._waiting
            return False
        with self._lock:
            self._newest = {shown.of: shown for shown in lasting} | self._waiting
        return True


@contextmanager
def showing(home: NodeHome) -> Iterator[ShownCertificates]:
    """What peers show while the block runs; written down at its end at the latest."""
    shown = ShownCertificates(home)
    try:
        yield shown
    finally:
        shown.write()


async def keep_written(shown: ShownCertificates, *, seconds: float) -> None:
    """Write down what is new every so many seconds, until it is cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(shown.write)


def shown_ends(home: NodeHome, *, now: datetime) -> Iterator[Expiring]:
    """The ends of what peers showed, the soonest first, one for each certificate.

    One that ended a month ago is left out: its organisation has not been heard of since. Several
    organisations behind one certificate are one line that names the first of them.
    """
    sharing: dict[str, list[Shown]] = {}
    for shown in sorted(_read(_file(home)), key=lambda s: (s.not_after, s.name, s.of)):
        if shown.not_after > now - _FORGET:
            sharing.setdefault(shown.certificate_sha256, []).append(shown)
    ends = [_end(found) for found in sharing.values()]
    yield from ends[:MOST]
    if rest := ends[MOST:]:
        yield Expiring(
            kind=Kind.SHOWN,
            name="other certificates that peers showed",
            not_after=rest[0].not_after,
            owner=Owner.PEER,
            others=len(rest) - 1,
        )


def shown_by(home: NodeHome, organization_ids: frozenset[str]) -> Iterator[tuple[str, Expiring]]:
    """The ends of what some organisations showed, each with the organisation's id."""
    for shown in _read(_file(home)):
        if shown.organization_id in organization_ids:
            yield shown.organization_id, _end([shown])


def _end(sharing: list[Shown]) -> Expiring:
    first = sharing[0]
    digits = first.certificate_sha256[:_SHOWN_DIGITS]
    return Expiring(
        kind=Kind.SHOWN,
        name=f"{first.name} ({first.organization_id}) {first.usage} {digits}",
        not_after=first.not_after,
        lifetime=first.not_after - first.not_before,
        owner=Owner.PEER,
        others=len({shown.organization_id for shown in sharing}) - 1,
    )


def _file(home: NodeHome) -> Path:
    return home.shown / "certificates.json"


def _read(file: Path) -> tuple[Shown, ...]:
    try:
        with file.open("rb") as opened:
            return _FILE.validate_json(opened.read(_MAX_BYTES))
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        _log.warning("shown.unreadable", code=type(error).__name__)
        return ()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time writes; it takes a moment, so others wait for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
