"""Witnesses that lie, stall or break: each refused with a reason, and sealing goes on.

The witness is a TLS server with a peer's own certificate that answers with whatever a case says;
who asks it is the part of a running node that does so, with its real home, database and sockets.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from node_network import Network, Site, now

from node.demo.free_ports import free_ports
from node.errors import OurFault
from node.identity import Role, identity_files
from node.ledger.entry_source import write_heartbeat
from node.ledger.log_files import LogFolder
from node.ledger.private import load_key
from node.ledger.sealer import verifier_key
from node.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from node.ledger.tlog.cosignature import cosign
from node.ledger.tlog.note import Note, Signature, parse_note, signed
from node.ledger.tlog.policy import accept, of_log
from node.ledger.tlog.witness import parse_add_checkpoint
from node.ledger.witness import witness_key
from node.ledger.witness_peers import WitnessPeer, accept_peer, remove_peer, witness_peers
from node.live_identities import LiveIdentities
from node.live_trust import LiveTrust
from node.log_keys import log_signers
from node.opened import OpenedHome, opened_home
from node.ops.metrics import Metrics
from node.settings import Settings
from node.witnessing import WitnessRounds, witnesses
from node.yearly_sealer import YearlySealer
from trust.log_key import LogKeySigner, generate_log_key

pytestmark = pytest.mark.e2e

WITNESS = LogKeySigner(key=generate_log_key())
NAME = "witness.lake.example/w1"
KEY = witness_key(NAME, WITNESS)
STRANGER = LogKeySigner(key=generate_log_key())

Answer = Callable[[str, bytes], bytes | AsyncIterator[bytes]]
"""What the witness sends for a path and a request body: raw bytes of HTTP, or pieces of them."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    network = Network(tmp_path_factory.mktemp("hostile"))
    for name in ("hill", "lake", "other"):
        network.add(name, extra="\n[log]\nwitness_timeout_seconds = 8\n")
    network.join()
    return network


@dataclass(slots=True)
class World:
    """A home that seals, its witness, and what was asked of that."""

    site: Site
    opened: OpenedHome
    sealer: YearlySealer
    port: int
    asked: list[str]

    @property
    def folder(self) -> Path:
        return self.opened.home.log / str(self.opened.clock.now().year)

    @property
    def signer(self) -> LogKeySigner:
        (signer,) = log_signers(self.opened.home, self.opened.settings, now=now())
        return signer

    def seal(self) -> Checkpoint:
        """One further entry, one pass; the checkpoint holds by our key alone."""
        write_heartbeat(
            self.opened.engine, load_key(self.opened.home.path), own=self.site.hcid, now=now()
        )
        point = self.sealer.run().checkpoint
        key = verifier_key(point.origin, self.signer)
        data = (self.folder / "checkpoint").read_bytes()
        assert accept(of_log(key), data).checkpoint == point
        return point

    def witness(self) -> WitnessPeer:
        (peer,) = witness_peers(self.opened.engine)
        return peer

    def note(self, point: Checkpoint, signer: LogKeySigner) -> bytes:
        return bytes(signed(point.text, [(verifier_key(point.origin, signer), signer.sign)]))


@asynccontextmanager
async def asking(world: World, *, seconds: float = 8) -> AsyncIterator[WitnessRounds]:
    settings: Settings = world.opened.settings
    log = settings.log.model_copy(update={"witness_timeout_seconds": seconds})
    opened = replace(world.opened, settings=settings.model_copy(update={"log": log}))
    home = world.opened.home
    trust = LiveTrust(home, world.opened.clock.now)
    async with witnesses(opened, trust, LiveIdentities(home), Metrics()) as rounds:
        yield rounds


@pytest.fixture
def world(network: Network) -> World:
    hill, lake = network.sites["hill"], network.sites["lake"]
    (port,) = free_ports(1)
    with opened_home(hill.home, hill.settings) as opened:
        remove_peer(opened.engine, lake.oid)
        accept_peer(
            opened.engine,
            WitnessPeer(
                organization_id=lake.oid,
                name="Lake",
                address=f"https://localhost:{port}/witness",
                log_keys=(),
                witness_keys=(KEY,),
                added=1,
            ),
        )
        sealer = YearlySealer(opened)
        made = World(site=hill, opened=opened, sealer=sealer, port=port, asked=[])
        made.seal()
        made.seal()
        yield made
        sealer.close()


@asynccontextmanager
async def answering(world: World, answer: Answer, server: Site) -> AsyncIterator[None]:
    """The witness's server, with the certificate of a site."""
    files = identity_files(server.home, Role.SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ")[1].decode()
                length = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                world.asked.append(path)
                made = answer(path, body)
                async for piece in _pieces(made):
                    writer.write(piece)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", world.port, ssl=context)
    try:
        yield
    finally:
        listening.close()


async def _pieces(made: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(made, bytes):
        yield made
        return
    async for piece in made:
        yield piece


def http(status: int, body: bytes = b"", kind: str = "text/plain", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def line(text: bytes, *, time: int | None = None, signer=WITNESS, key=KEY) -> bytes:
    time = int(now().timestamp()) if time is None else time
    value = cosign(text, time, signer.sign)
    return f"{Signature(name=key.name, key_id=key.key_id, value=value).line}\n".encode()


def text_of(body: bytes) -> bytes:
    return parse_note(parse_add_checkpoint(body).note).text


def ago(seconds: int) -> int:
    return int((now() - timedelta(seconds=seconds)).timestamp())


def always(reply: bytes) -> Answer:
    return lambda _path, _body: reply


def signing(make: Callable[[bytes], bytes]) -> Answer:
    """Answers an add-checkpoint with what is made of the checkpoint's text."""
    return lambda _path, body: http(200, make(text_of(body)))


def conflict(size: str, shown: bytes = http(404), kind: str = "text/x.tlog.size") -> Answer:
    return lambda path, _body: (
        http(409, f"{size}\n".encode(), kind) if path.endswith("add-checkpoint") else shown
    )


def other(text: bytes) -> bytes:
    """Another checkpoint of the same log."""
    point = parse_checkpoint(text)
    return replace(point, root=bytes(32)).text


def foreign_note(path: str, body: bytes) -> bytes:
    """Says that a larger tree is known, and shows one that a stranger signed in our log's name."""
    if path.endswith("add-checkpoint"):
        return http(422, b"no\n")
    point = Checkpoint(origin=foreign_note.origin, size=10**6, root=bytes(32))  # type: ignore[attr-defined]
    key = verifier_key(point.origin, STRANGER)
    return http(200, bytes(signed(point.text, [(key, STRANGER.sign)])))


async def drip(_path: str, _body: bytes) -> AsyncIterator[bytes]:
    """One byte after the other, for ever."""
    yield b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\nx\r\n"
        await asyncio.sleep(0.02)


async def silence(_path: str, _body: bytes) -> AsyncIterator[bytes]:
    await asyncio.sleep(3600)
    yield b""


CASES: dict[str, tuple[Answer, str, str]] = {
    "garbage": (always(http(200, b"\x00\xff hello")), "log-witness-invalid", "no signature"),
    "no HTTP": (always(b"Hello, I am a witness.\r\n\r\n"), "answer-http-invalid", "not HTTP"),
    "nothing": (always(http(200)), "empty-answer", "empty"),
    "too much": (always(http(200, b"x" * 2_000_000)), "message-too-large", "larger"),
    "a bomb": (
        always(http(200, gzip.compress(bytes(50_000_000), 1), more="content-encoding: gzip\r\n")),
        "message-too-large",
        "larger",
    ),
    "another key": (
        signing(lambda text: line(text, signer=STRANGER, key=witness_key(NAME, STRANGER))),
        "log-witness-invalid",
        "no signature of a known key",
    ),
    "a forged signature": (
        signing(lambda text: line(text, signer=STRANGER)),
        "log-witness-invalid",
        "does not verify",
    ),
    "another checkpoint": (
        signing(lambda text: line(other(text))),
        "log-witness-invalid",
        "does not verify",
    ),
    "an old time": (
        signing(lambda text: line(text, time=ago(3600))),
        "log-witness-invalid",
        "seconds ago",
    ),
    "a time to come": (
        signing(lambda text: line(text, time=ago(-3600))),
        "log-witness-invalid",
        "in the future",
    ),
    "a size that is none": (conflict("99999999999999999999"), "log-witness-invalid", "not which"),
    "a huge size": (conflict("9223372036854775807"), "log-witness-refused", "HTTP 409"),
    "a huge size, garbage to show for it": (
        conflict("9223372036854775807", http(200, b"believe me")),
        "log-witness-invalid",
        "no key of ours signed",
    ),
    "one size after the other": (conflict("1"), "log-witness-refused", "does not keep to it"),
    "a conflict without a size": (
        conflict("1", kind="text/html"),
        "log-witness-refused",
        "HTTP 409",
    ),
    "a stranger's checkpoint": (foreign_note, "log-witness-invalid", "no key of ours signed"),
    "does not know us": (always(http(404)), "log-witness-refused", "does not know our log"),
    "another key of ours": (always(http(403)), "log-witness-refused", "by another key"),
    "broken": (always(http(500, b"oops")), "log-witness-refused", "HTTP 500"),
    "away": (always(http(503)), "peer-unavailable", "not available"),
    "elsewhere": (
        always(http(302, more="location: https://localhost:1/\r\n")),
        "answer-redirected",
        "another address",
    ),
    "later": (always(http(202)), "answer-asynchronous", "no answer"),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_hostile_witness_is_refused_with_a_reason_and_sealing_goes_on(
    network: Network, world: World, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, code, reason = CASES[name]
    foreign_note.origin = world.seal().origin  # type: ignore[attr-defined]
    async with answering(world, answer, network.sites["lake"]), asking(world) as rounds:
        await rounds.round(world.sealer)
        assert world.asked
        before = world.seal()
        await rounds.round(world.sealer)
        assert world.seal().size == before.size + 1
    told = world.witness()
    assert (told.failure, told.cosigned) == (code, None)
    assert told.failing is not None
    said = capsys.readouterr().out
    assert reason in said
    assert "log.quorum-missing" in said
    assert not (world.folder / "witnessed").exists()


@pytest.mark.parametrize("stalling", [drip, silence])
async def test_a_witness_that_stalls_costs_its_time_and_nothing_else(
    network: Network, world: World, stalling: Answer
) -> None:
    async with (
        answering(world, stalling, network.sites["lake"]),
        asking(world, seconds=0.3) as rounds,
    ):
        await rounds.recall(world.sealer)
        await rounds.round(world.sealer)
    assert world.witness().failure == "timeout"
    world.seal()


async def test_a_server_with_another_organisation_s_certificate_is_not_the_witness(
    network: Network, world: World
) -> None:
    honest = signing(line)
    async with answering(world, honest, network.sites["other"]), asking(world) as rounds:
        await rounds.round(world.sealer)
    assert world.witness().failure == "peer-not-bound"
    assert world.asked == []


async def test_a_witness_that_is_not_there_is_asked_less_often(
    network: Network, world: World
) -> None:
    async with asking(world) as rounds:
        for _ in range(3):
            await rounds.round(world.sealer)
            world.seal()
        assert world.witness().failure == "connect-refused"
        async with answering(world, signing(line), network.sites["lake"]):
            await rounds.round(world.sealer)  # its pause is not over
        assert world.asked == []


async def test_what_an_honest_witness_signs_is_published_with_the_checkpoint(
    network: Network, world: World
) -> None:
    async with answering(world, signing(line), network.sites["lake"]), asking(world) as rounds:
        point = world.seal()
        await rounds.round(world.sealer)
        data = (world.folder / "checkpoint").read_bytes()
        assert data == (world.folder / "witnessed").read_bytes()
        assert [each.name for each in parse_note(data).signatures] == [point.origin, NAME]
        assert world.sealer.run().added == 0  # which takes nothing away from it
        assert (world.folder / "checkpoint").read_bytes() == data
        await rounds.round(world.sealer)
        assert len(world.asked) == 1  # nothing is new
        later = world.seal()  # published at once, without waiting for the witness
        assert parse_checkpoint(parse_note((world.folder / "witnessed").read_bytes()).text) == point
        await rounds.round(world.sealer)
        assert parse_checkpoint(parse_note((world.folder / "witnessed").read_bytes()).text) == later
    assert (world.witness().size, world.witness().failure) == (later.size, None)
    (world.folder / "witnessed").unlink()


async def test_what_a_witness_shows_that_we_signed_stops_the_sealer(
    network: Network, world: World
) -> None:
    """In the log's own key: a history of ours that this home does not have."""
    point = world.seal()
    hidden = replace(point, size=point.size + 5, root=bytes(32))

    def knows_more(path: str, _body: bytes) -> bytes:
        shown = world.note(hidden, world.signer)
        return http(409, b"%d\n" % hidden.size, "text/x.tlog.size") if _body else http(200, shown)

    memory = world.opened.home.resolve(world.opened.settings.log.signed)
    kept = memory / "witnessed" / world.folder.name
    async with answering(world, knows_more, network.sites["lake"]), asking(world) as rounds:
        await rounds.round(world.sealer)
    try:
        for _ in range(8):  # also when the log has grown beyond it
            with pytest.raises(OurFault) as raised:
                world.seal()
            assert raised.value.code == "log-rolled-back"
        assert parse_checkpoint(parse_note(kept.read_bytes()).text) == hidden
        assert (world.folder / "checkpoint").read_bytes().startswith(point.text)
    finally:
        kept.unlink(missing_ok=True)


# --- crashes ------------------------------------------------------------------------------------


class Crash(BaseException):
    """The machine stops."""


def test_a_crash_while_signatures_are_published_leaves_what_was_there_or_what_is_new(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def step(stop: int, name: str, _path: Path) -> None:
        if len(steps) == stop:
            raise Crash
        steps.append(name)

    crashes = 0
    while True:
        point = world.seal()
        own = parse_note((world.folder / "checkpoint").read_bytes())
        (witness,) = parse_note(own.text + b"\n" + line(own.text)).signatures
        whole = bytes(Note(text=own.text, signatures=(*own.signatures, witness)))
        steps.clear()
        with monkeypatch.context() as patch:
            patch.setattr(
                "node.yearly_sealer.LogFolder",
                lambda path, stop=crashes: LogFolder(path, step=partial(step, stop)),
            )
            try:
                world.sealer.publish(int(world.folder.name), whole, quorum=True)
            except Crash:
                crashes += 1
            else:
                break
        for name in ("checkpoint", "witnessed"):
            file = world.folder / name
            if file.exists():  # whole, and of the log
                accept(of_log(verifier_key(point.origin, world.signer)), file.read_bytes())
        assert world.sealer.run().checkpoint == point
    assert crashes == len(steps)
    assert crashes >= 10
    assert (world.folder / "checkpoint").read_bytes() == whole
    (world.folder / "witnessed").unlink()
