"""Examines a node home: every check says ok, warn, fail or unknown, and the next step.

A check never stops another one: what cannot be looked at is ``unknown`` or ``fail``, and why.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from directory.model import Organization
from node.errors import CodedError
from node.examined import Examined
from node.examined_crls import examine_revocation
from node.examined_running import examine_running
from node.examined_upstream import examine_upstream
from node.examined_witnesses import examine_witnesses
from node.identity import Role, client_anchors, identity_files, network_anchors, passphrase
from node.identity_store import key_files
from node.ledger.private import load_key as load_ledger_key
from node.log_health import log_finding
from node.model import Transaction
from node.network_list import membership_of
from node.opened import opened_home
from node.ops.health import Status
from node.own_entry import address
from node.served_certificate import fingerprint_in_use, local_address, served_fingerprint
from node.settings import NodeHome, Settings, load_settings
from node.token import open_key
from trust.certificates import describe, load_certificates
from trust.keys import key_matches
from trust.network_list.staleness import Level
from trust.trusted_time import clock_behind, trusted_time

_DATABASES = ("node.db", "node.db-wal")
_SOON = timedelta(days=30)
_BUILT = datetime(2026, 11, 1, tzinfo=UTC)
_CONNECT_SECONDS = 2.0


async def examine_home(home: NodeHome) -> list[Examined]:
    """Run all checks on a node home, in the order in which a person would."""
    found = _guarded("clock", lambda: _clock(home, datetime.now(UTC)))
    try:
        settings = load_settings(home)
    except CodedError as error:
        return [*found, _failed("settings", error)]
    found.append(_ok("settings", f"{home.settings_file} is valid."))
    found.extend(_guarded("permissions", lambda: _permissions(home)))
    for role in Role:
        check = f"identity {role}"
        found.extend(_guarded(check, partial(_identity, home, settings, role)))
    found.extend(_guarded("anchors", lambda: _anchors(home)))
    found.extend(_guarded("network list", lambda: _network_list(home, settings)))
    found.extend(_guarded("revocation", lambda: examine_revocation(home, datetime.now(UTC))))
    found.extend(_guarded("ledger key", lambda: _ledger_key(home)))
    found.extend(_guarded("directory", lambda: _directory(home, settings)))
    listening = await _port("gateway port", settings.listen.host, settings.listen.port)
    found.append(listening)
    if settings.listen.port and listening.status is Status.OK:
        found.append(await _served_or_unknown(home, settings))
    if settings.grpc.enabled:
        found.append(await _port("gRPC port", settings.grpc.host, settings.grpc.port))
    found.extend(await examine_upstream(home, settings))
    found.extend(await examine_running(settings))
    return found


def _guarded(check: str, examine: Callable[[], Iterator[Examined]]) -> list[Examined]:
    try:
        return list(examine())
    except CodedError as error:
        return [_failed(check, error)]
    except OSError as error:
        return [_unknown(check, f"It could not be examined ({type(error).__name__}).")]


def _clock(home: NodeHome, now: datetime) -> Iterator[Examined]:
    trusted = trusted_time(home.trusted_time)
    if (behind := clock_behind(now, trusted)) is not None:
        yield Examined(
            check="clock",
            status=Status.FAIL,
            sentence=f"{behind.sentence} The node exchanges nothing with such a clock.",
            next_step="Set the clock and keep it right with NTP.",
        )
        return
    if now < _BUILT:
        yield Examined(
            check="clock",
            status=Status.FAIL,
            sentence=f"The clock says {now:%Y-%m-%d %H:%M} UTC, before this version was made.",
            next_step="Set the clock and keep it right with NTP.",
        )
        return
    # without a reference nothing more can be said here; peers refuse assertions off by minutes
    later = f", later than what was signed at {trusted:%Y-%m-%d %H:%M}" if trusted else ""
    yield _ok("clock", f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC{later}.")


def _network_list(home: NodeHome, settings: Settings) -> Iterator[Examined]:
    membership = membership_of(home, settings)
    if membership.joined() is None:
        return
    check, found = "network list", membership.status(now=datetime.now(UTC))
    if found.standing is None:
        yield Examined(
            check=check,
            status=Status.FAIL,
            sentence="The network's list was never fetched.",
            next_step="`network sync`",
        )
        return
    level = found.standing.level
    status = {Level.FRESH: Status.OK, Level.REFUSED: Status.FAIL}.get(level, Status.WARN)
    if status is not Status.OK:
        step = "`network sync`; if the network publishes nothing, ask its operator."
        yield Examined(check=check, status=status, sentence=found.standing.sentence, next_step=step)
    elif found.waiting is not None:
        yield Examined(
            check=check,
            status=Status.WARN,
            sentence=f"A newer list waits for approval: {' '.join(found.waiting.approval)}",
            next_step="`network diff`, `network approve`",
        )
    else:
        yield _ok(check, found.standing.sentence)


def _permissions(home: NodeHome) -> Iterator[Examined]:
    keys = key_files(home)
    exposed = [path.name for path in keys if stat.S_IMODE(path.stat().st_mode) & 0o077]
    foreign = [path.name for path in keys if path.stat().st_uid != os.getuid()]
    if exposed or foreign:
        wrong = ", ".join(dict.fromkeys(exposed + foreign))
        yield Examined(
            check="permissions",
            status=Status.FAIL,
            sentence=f"Key files are open to others or not ours: {wrong}.",
            next_step="chmod 600 the files and chown them to the user that runs the node.",
        )
        return
    if readable := [name for name in _DATABASES if _by_others(home, name)]:
        yield Examined(
            check="permissions",
            status=Status.WARN,
            sentence="Others on this machine may read what is about patients: "
            f"{', '.join(readable)}.",
            next_step=f"chmod 700 {home.path.absolute()}",
        )
        return
    yield _ok("permissions", "Key files can be read by their owner alone.")


def _by_others(home: NodeHome, name: str) -> bool:
    """Whether a file of the home, and the home, are open to users who are not its group."""
    try:
        modes = [(home.path / each).stat().st_mode for each in ("", name)]
    except FileNotFoundError:
        return False
    return bool(modes[0] & stat.S_IXOTH and modes[1] & stat.S_IROTH)


def _identity(home: NodeHome, settings: Settings, role: Role) -> Iterator[Examined]:
    check = f"identity {role}"
    files = identity_files(home, role)
    if not files.certificate.exists():
        yield Examined(
            check=check,
            status=Status.FAIL,
            sentence=f"There is no {role} certificate.",
            next_step=f"`cert request {role}`, have it issued, `cert import {role} FILE`.",
        )
        return
    certificate = load_certificates(files.certificate)[0]
    if not key_matches(
        open_key(home, settings, files.key, passphrase=passphrase(settings)), certificate
    ):
        yield Examined(
            check=check,
            status=Status.FAIL,
            sentence="The certificate was issued for another key.",
            next_step=f"Import the one that was issued for {files.key.name}, or request a new one.",
        )
        return
    yield _expiry(check, describe(certificate).not_after, f"`cert request {role}` now.")


def _expiry(
    check: str,
    not_after: datetime,
    next_step: str,
    good: str = "Key and certificate fit; valid",
) -> Examined:
    left = not_after - datetime.now(UTC)
    if left <= timedelta(0):
        status, sentence = Status.FAIL, f"It expired on {not_after:%Y-%m-%d}."
    elif left < _SOON:
        status, sentence = (
            Status.WARN,
            f"It expires in {left.days} days, on {not_after:%Y-%m-%d}.",
        )
    else:
        return _ok(check, f"{good} until {not_after:%Y-%m-%d}.")
    return Examined(check=check, status=status, sentence=sentence, next_step=next_step)


def _anchors(home: NodeHome) -> Iterator[Examined]:
    anchors = network_anchors(home)
    if not anchors:
        yield Examined(
            check="anchors",
            status=Status.FAIL,
            sentence="No CA is trusted: no peer can be reached and none can reach us.",
            next_step="`anchor add FILE` with the CA certificate of your network.",
        )
    for anchor in anchors:
        yield _expiry(
            "anchor",
            anchor.certificate.not_valid_after_utc,
            "Ask your network for its new CA certificate.",
            f"{anchor.label} is trusted; valid",
        )
    if not client_anchors(home):
        yield Examined(
            check="local clients",
            status=Status.WARN,
            sentence="No local client can ask over gRPC.",
            next_step="Make the node home again, or put the clients' CA into trust/clients.",
        )


def _ledger_key(home: NodeHome) -> Iterator[Examined]:
    load_ledger_key(home.path)
    yield _ok("ledger key", "The key of the log's private records can be read.")


def _directory(home: NodeHome, settings: Settings) -> Iterator[Examined]:
    with opened_home(home, settings) as opened:
        own = opened.directory.by_id(settings.node.organization_id)
        peers = [p for t in Transaction for p in opened.peers.responders(t)]
        yield _ok("database", f"It answers; the directory is at version {opened.view.version}.")
        log = log_finding(home, settings, opened.engine, datetime.now(UTC))
        yield Examined(check="log", status=log.status, sentence=log.sentence, next_step=log.advice)
        counts = opened.index.counts()
        witnesses = list(examine_witnesses(opened.engine, settings.log.witness_quorum))
    yield _own_entry(own, settings)
    names = {peer.organization_id for peer in peers}
    if names:
        yield _ok("peers", f"Organisations that can be asked: {len(names)}.")
    else:
        yield Examined(
            check="peers",
            status=Status.WARN,
            sentence="The directory has nobody to ask.",
            next_step="`directory import FILE` with your network's directory.",
        )
    yield _ok("records", f"{counts.documents} documents of {counts.patients} patients.")
    yield from witnesses


def _own_entry(own: Organization | None, settings: Settings) -> Examined:
    fault, next_step = None, "`directory export --self --out own.json`, `directory import own.json`"
    if own is None:
        fault = "The directory does not have our own entry, so nothing can be asked."
    elif not own.active:
        fault = "The directory lists us as inactive."
    elif settings.node.home_community_id not in own.home_community_ids:
        fault = "Our directory entry has another home community id than node.toml."
    elif not own.initiates:
        fault = "Our directory entry lists no purpose, so nothing can be asked."
        next_step = "Name purposes with policy.initiates in node.toml, export and import again."
    else:
        for transaction in Transaction:
            endpoint = own.endpoint_for(transaction.value)
            if endpoint is None or endpoint.address != address(settings, transaction):
                fault = f"Our directory entry gives another address for {transaction}."
    if fault:
        return Examined(check="own entry", status=Status.WARN, sentence=fault, next_step=next_step)
    return _ok("own entry", f"Our entry {settings.node.organization_id} fits our settings.")


async def _port(check: str, host: str, port: int) -> Examined:
    if port == 0:
        return _ok(check, "A free port is picked at start.")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except ConnectionRefusedError:
        return Examined(
            check=check,
            status=Status.WARN,
            sentence=f"Nobody listens on {host}:{port}; the node does not run.",
            next_step="`tefca-node serve`",
        )
    except (OSError, TimeoutError):
        return _unknown(check, f"{host}:{port} cannot be reached from here.")
    return _ok(check, f"Somebody listens on {host}:{port}.")


async def _served_or_unknown(home: NodeHome, settings: Settings) -> Examined:
    try:
        return await _served(home, settings)
    except (CodedError, OSError) as error:  # such as keys that this user may not read
        return _unknown("served certificate", f"Ours cannot be read ({type(error).__name__}).")


async def _served(home: NodeHome, settings: Settings) -> Examined:
    check, listen = "served certificate", settings.listen
    served = await served_fingerprint(home, settings, local_address(listen.host), listen.port)
    in_use = fingerprint_in_use(home, Role.SERVER)
    if served is None:
        return _unknown(check, f"No handshake came about with {listen.host}:{listen.port}.")
    if served == in_use:
        return _ok(check, "The gateway serves the certificate that is in use.")
    return Examined(
        check=check,
        status=Status.FAIL,
        sentence="The gateway serves another certificate than the one that is in use.",
        next_step="Wait some seconds; then look for identity.refused in the node's log.",
    )


def _ok(check: str, sentence: str) -> Examined:
    return Examined(check=check, status=Status.OK, sentence=sentence)


def _unknown(check: str, sentence: str) -> Examined:
    return Examined(
        check=check, status=Status.UNKNOWN, sentence=sentence, next_step="Look at it by hand."
    )


def _failed(check: str, error: CodedError) -> Examined:
    where = f" ({error.where})" if error.where else ""
    return Examined(
        check=check,
        status=Status.FAIL,
        sentence=f"{error.sentence}{where}",
        next_step=error.advice,
    )
