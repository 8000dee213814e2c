"""Packets for inquiries: what is in them, what a neutral one lacks, what the check finds."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator

import pytest

from node.audit_site import audit_site
from node.errors import LogError
from node.governance import packet_check
from node.governance.evidence import of_filter
from node.governance.packet import Packing, pack
from node.governance.packet_check import check_packet
from node.ledger.filter import LedgerFilter
from node.ledger.ledger import ExchangeLedger
from node.ledger.private import load_key
from node.ledger.sealed_proof import prove_entry
from node.ledger.tlog.note import parse_verifier_key
from node.ledger.tlog.policy import Policy, of_log
from node.opened import OpenedHome, opened_home
from node.settings import NodeHome, load_settings
from node.setup import NewNode, make_home
from node.yearly_sealer import YearlySealer, verifier_keys
from tests.governance.golden import golden, text_of
from tests.ledger.records import CANARIES, PEER, START, record

MADE = START.replace(microsecond=0)
Files = dict[str, bytes]


class World:
    """A sealed log with some legs, and one that is not sealed yet."""

    def __init__(self, opened: OpenedHome) -> None:
        self.opened = opened
        self.key = load_key(opened.home.path)
        self.keys: tuple[str, ...] = ()
        self.packing = Packing(
            prove=lambda number: prove_entry(opened.home.log, number),
            vkeys=lambda: self.keys,
            site=audit_site(opened.settings),
        )

    def read_keys(self, origin: str) -> None:
        found = verifier_keys(self.opened.home, self.opened.settings, origin, now=MADE)
        self.keys = tuple(str(key) for key in found)

    @property
    def policy(self) -> Policy:
        return of_log(*(parse_verifier_key(key) for key in self.keys))

    def packet(self, *, peer: str | None = None) -> bytes:
        chosen = LedgerFilter(kind="exchange")
        content = of_filter(self.opened.engine, chosen, self.key, peer=peer)
        return pack(content, self.packing, by="ida", now=MADE).data


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = NodeHome(tmp_path_factory.mktemp("packet") / "home")
    node = NewNode(name="Lake Hospital", home_community_id="urn:oid:2.999.71",
                   organization_id="2.999.71", initiates=("T-TRTMNT",))  # fmt: skip
    make_home(home, node, now=MADE)
    with opened_home(home, load_settings(home)) as opened:
        made = World(opened)
        ledger = ExchangeLedger(opened.engine, made.key)

        def write(number: int) -> None:
            async def append() -> None:
                for _ in range(number):
                    await ledger.append(record())

            asyncio.run(append())

        write(3)
        sealer = YearlySealer(opened)
        try:
            sealer.run()
        finally:
            sealer.close()
        write(1)
        proved = prove_entry(opened.home.log, 0)
        assert proved is not None
        made.read_keys(proved.point.origin)
        yield made
        ledger.close()


def opened_files(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as held:
        return {name: held.read(name) for name in held.namelist()}


def closed(files: Files) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return held.getvalue()


def test_a_packet_is_checked_with_the_logs_key_alone(world: World) -> None:
    found = check_packet(world.packet(), world.policy)
    assert found.problems == ()
    assert found.proved >= 3
    assert len(found.unproved) == 1
    assert found.files == 3 + found.proved * 2 + 1 + 2


def test_nothing_in_it_says_anything_about_a_patient_or_a_person(world: World) -> None:
    files = opened_files(world.packet())
    whole = b"".join(files.values()) + text_of(files["summary.pdf"]).encode()
    for canary in CANARIES:
        assert canary.encode() not in whole
    lines = files["audit-events.ndjson"].splitlines()
    assert {json.loads(line)["resourceType"] for line in lines} == {"AuditEvent"}
    assert files["entries.ndjson"].count(b"\n") == 4


def test_a_neutral_one_has_the_peers_legs_alone_and_no_case(world: World) -> None:
    other = opened_files(world.packet(peer="urn:oid:2.999.99"))
    assert not any(name.startswith("entries/") for name in other)
    files = opened_files(world.packet(peer=str(PEER.home_community_id)))
    assert sum(name.startswith("entries/") for name in files) == 4
    assert "case.json" not in files
    assert "case" not in json.loads(files["manifest.json"])


def test_the_same_content_gives_the_same_bytes_and_the_words_are_as_they_were(
    world: World,
) -> None:
    assert world.packet() == world.packet()
    golden("packet-readme.txt", opened_files(world.packet())["README.txt"])


def _changed_entry(files: Files) -> None:
    files["entries/0.json"] = files["entries/0.json"].replace(b'"docs":', b'"docs":1')


def _swapped_proof(files: Files) -> None:
    files["proofs/0.tlog-proof"] = files["proofs/1.tlog-proof"]


def _lost_file(files: Files) -> None:
    del files["summary.pdf"]


def _more_files(files: Files) -> None:
    files["entries/99.json"] = files["entries/0.json"]


def _other_lines(files: Files) -> None:
    files["entries.ndjson"] = b""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_changed_entry, "entries/0.json is not what the manifest says."),
        (_changed_entry, "Entry 0 is not proved"),
        (_swapped_proof, "Entry 0 is not proved"),
        (_lost_file, "summary.pdf is missing."),
        (_more_files, "entries/99.json is not in the manifest."),
        (_other_lines, "entries.ndjson has not the bytes of the entries."),
    ],
)
def test_what_was_changed_is_found(
    world: World, change: Callable[[Files], None], sentence: str
) -> None:
    files = opened_files(world.packet())
    change(files)
    found = check_packet(closed(files), world.policy)
    assert any(sentence in problem for problem in found.problems), found.problems


def test_a_changed_entry_with_a_manifest_made_to_fit_is_found_by_its_proof(world: World) -> None:
    files = opened_files(world.packet())
    _changed_entry(files)
    manifest = json.loads(files["manifest.json"])
    files["entries.ndjson"] = b"".join(
        files[name] + b"\n" for name in sorted(files, key=len) if name.startswith("entries/")
    )
    manifest["sha256"] |= {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name != "manifest.json"
    }
    files["manifest.json"] = json.dumps(manifest).encode()
    found = check_packet(closed(files), world.policy)
    assert any("Entry 0 is not proved" in problem for problem in found.problems)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 no zip", closed({"a": b"b"}), closed({"manifest.json": b"[]"})]
)
def test_what_is_no_packet_is_refused(world: World, data: bytes) -> None:
    with pytest.raises(LogError) as caught:
        check_packet(data, world.policy)
    assert caught.value.code == "log-packet-invalid"


def test_a_packet_that_claims_to_be_huge_is_not_unpacked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packet_check, "MAX_PACKET", 100_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("manifest.json", b"0" * 1_000_000)
    with pytest.raises(LogError, match="unpacks to more"):
        check_packet(bomb.getvalue(), world.policy)
