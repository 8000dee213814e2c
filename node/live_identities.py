"""Identities of a running node: taken over while it serves, without a failed handshake (pki A4).

Everybody who holds an identity open registers how to take another. ``check`` looks whether the
files in use have become others, tries them out, and only then hands them over; what fails its trial
leaves everything as it was, and is tried again when the files change once more.

A trap that this module exists for: an ``ssl.SSLContext`` keeps one certificate per kind of key. To
load a P-256 certificate where an RSA one is would serve both, as each client likes. So a new key of
the same kind is loaded into the live context, and for another kind new handshakes are led to a
fresh context, built like the first one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import structlog

from node.errors import CodedError
from node.identity import Role, identity_files
from node.settings import NodeHome
from trust.certificates import load_certificates
from trust.keys import key_kind, public_key_of
from trust.tls import TlsIdentity, load_identity

_log = structlog.get_logger(__name__)

Commit = Callable[[], None]
Prepare = Callable[[], Commit]
"""Reads and tries out the files in use, in a thread; gives what takes them over, in the loop.

Raises ``CodedError`` when they are not to be taken.
"""

Build = Callable[[TlsIdentity], ssl.SSLContext]
"""Makes a listener's context for an identity, with the anchors of the moment."""

_Stamp = tuple[tuple[str, int, int, int], ...]


class LiveIdentities:
    """Which identity each role holds now, and who takes a new one."""

    def __init__(self, home: NodeHome) -> None:
        """Make it before the identities are opened: what is switched afterwards is noticed."""
        self._home = home
        self._holders: dict[Role, list[Prepare]] = {}
        self._taken: dict[Role, _Stamp] = {role: _stamp(home, role) for role in Role}
        self._refused: dict[Role, _Stamp | None] = {}

    def hold(self, role: Role, prepare: Prepare) -> None:
        """Register how somebody who opened the identity of a role takes another."""
        self._holders.setdefault(role, []).append(prepare)

    def roles(self) -> tuple[Role, ...]:
        """The roles whose identity somebody holds."""
        return tuple(self._holders)

    def refused(self) -> frozenset[Role]:
        """The roles whose files in use are not held, because they cannot be used."""
        return frozenset(self._refused)

    async def check(self) -> tuple[Role, ...]:
        """Take over what was switched; gives the roles that changed.

        What cannot be used is logged once, and the old identity stays.
        """
        return tuple([role for role in self.roles() if await self._follow(role)])

    async def _follow(self, role: Role) -> bool:
        stamp = None
        try:
            stamp = _stamp(self._home, role)
            if stamp in (self._taken[role], self._refused.get(role)):
                return False
            commits = [await asyncio.to_thread(prepare) for prepare in self._holders[role]]
            if _stamp(self._home, role) != stamp:
                return False  # switched meanwhile: the next check takes what is in use then
            # In one go: a handshake that began between certificate and key would fail.
            for commit in commits:
                commit()
        except (CodedError, OSError) as error:
            if role not in self._refused or self._refused[role] != stamp:
                code = error.code if isinstance(error, CodedError) else type(error).__name__
                _log.error("identity.refused", name=role.value, code=code)
            self._refused[role] = stamp
            return False
        self._taken[role] = stamp
        self._refused.pop(role, None)
        _log.info("identity.switched", name=role.value)
        return True


class LiveServerContext:
    """The context of a listener, whose identity and anchors can be replaced while it listens.

    A context cannot forget an anchor, so for other anchors new handshakes are led to a fresh
    context as well. What stays of the listener's own are its verify flags, which are always the
    same, and its memory of TLS 1.2 sessions: those who resume one are judged by their certificate
    on every request, like all others.

    Attributes:
        context: what the listener was opened with, for its whole life.
    """

    def __init__(self, identity: TlsIdentity, build: Build) -> None:
        """Builds the context from the first identity. Raises ``TrustError``."""
        self.context = self._current = build(identity)
        self._build = build
        self._identity = identity
        self._kind = _kind(identity)

    def prepare(self, identity: TlsIdentity) -> Commit:
        """Build a context from the new identity; gives what makes new handshakes use it.

        Raises:
            TrustError: when the identity cannot be loaded.
        """
        fresh, kind = self._build(identity), _kind(identity)

        def commit() -> None:
            self._identity = identity
            if kind == self._kind:
                load_identity(self._current, identity)
                return
            self._kind = kind
            self._lead_to(fresh)

        return commit

    def rebuild(self, build: Build) -> Commit:
        """Build a context for other anchors; gives what makes new handshakes use it.

        Must not run beside ``prepare``: the context would be of the identity of before.

        Raises:
            TrustError: when it cannot be built.
        """
        fresh = build(self._identity)

        def commit() -> None:
            self._build = build
            self._lead_to(fresh)

        return commit

    def _lead_to(self, fresh: ssl.SSLContext) -> None:
        self._current = fresh
        self.context.sni_callback = self._lead

    def _lead(self, end: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        end.context = self._current


def _kind(identity: TlsIdentity) -> str:
    leaf = load_certificates(identity.certificate_file)[0]
    return key_kind(public_key_of(leaf)).partition("-")[0]


def _stamp(home: NodeHome, role: Role) -> _Stamp:
    files = identity_files(home, role)
    return tuple(_file_stamp(path) for path in (files.certificate, files.key))


def _file_stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
