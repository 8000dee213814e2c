"""Each attack of facts pki B1 and B3.4 against a member of a signed network list, by name."""

from __future__ import annotations

import io
import shutil
from datetime import timedelta

import orjson
import pytest
from tuf.api.metadata import DelegatedRole, MetaFile, Root, TargetFile, Timestamp

from tests.network_world import NetworkWorld, Tampering, entry_json
from trust.errors import TrustError
from trust.network_list.signing_keys import generate_signing_key
from trust.network_list.staleness import Level, standing
from trust.network_list.workspace import sha256_of


@pytest.fixture
def world(tmp_path):
    world = NetworkWorld(tmp_path)
    world.publish()
    return world


def refused(member, world, *codes):
    """The sync is refused with one of the codes, and the list in use is as before."""
    before = member.applied()
    with pytest.raises(TrustError) as caught:
        member.sync(now=world.now)
    assert caught.value.code in codes
    assert member.applied() == before
    return caught.value


def test_an_honest_network_is_synced(world):
    member = world.joined()
    world.later(hours=1)
    world.add("north", "north-2", name="Renamed")
    world.publish()
    report = member.sync(now=world.now)
    assert report.applied
    assert [change.entry_id for change in report.change.entries] == ["north-2"]
    assert {e.id: e.name for _, e in member.applied().entries()}["north-2"] == "Renamed"


def test_rollback_of_directory(world):
    """The mirror serves all of an older state, genuinely signed and not expired."""
    member = world.joined()
    old = world.saved("old")
    world.later(hours=1)
    world.publish()
    member.sync(now=world.now)
    world.put_back(old)
    refused(member, world, "network-list-rollback")


def test_rollback_of_the_snapshot_by_a_thief_of_the_timestamp_key(world):
    old = world.read("timestamp.json").signed.snapshot_meta
    world.later(hours=1)
    world.add("north", "north-2", name="Renamed")
    world.publish()
    member = world.joined()
    stamp = world.read("timestamp.json")
    stamp.signed.version += 1
    stamp.signed.snapshot_meta = old
    world.write("timestamp.json", stamp, world.keys["timestamp"])
    refused(member, world, "network-list-rollback")


@pytest.mark.parametrize("role", ["targets", "q-north"])
def test_rollback_of_a_role_by_a_thief_of_the_online_keys(world, role):
    """CVE-2025-2887: delegated roles as well."""
    old = (world.public / "metadata" / f"1.{role}.json").read_bytes()
    world.later(hours=1)
    world.add("north", "north-2", name="Renamed")
    world.publisher.workspace.deny("ab" * 32, "stolen", certificate=False, now=world.now)
    world.publish()
    member = world.joined()

    def back(snapshot):
        snapshot.meta[f"{role}.json"] = MetaFile.from_data(1, old, ["sha256"])

    world.forge_snapshot(back)
    refused(member, world, "network-list-rollback")


def test_a_refused_timestamp_is_not_kept(world):
    """Advisory of awslabs/tough: cached before it was checked, it made a rollback later."""
    member = world.joined()
    kept = (world.folder / "member" / "metadata" / "timestamp.json").read_bytes()
    stamp = world.read("timestamp.json")
    stamp.signed.version += 1000
    world.write("timestamp.json", stamp, generate_signing_key())
    refused(member, world, "network-list-signature")
    assert (world.folder / "member" / "metadata" / "timestamp.json").read_bytes() == kept
    world.later(hours=1)
    world.publish()
    assert member.sync(now=world.now).applied


def test_silent_equivocation(world):
    """Who has the online keys signs a second list as the same version, for this member alone."""
    member = world.joined()
    stamp = world.read("timestamp.json")
    version = stamp.signed.snapshot_meta.version
    snapshot = world.read(f"{version}.snapshot.json")
    snapshot.signed.expires = snapshot.signed.expires.replace(minute=1)
    data = world.write(f"{version}.snapshot.json", snapshot, world.keys["snapshot"])
    stamp.signed.snapshot_meta = MetaFile.from_data(version, data, ["sha256"])
    stamp.signed.version += 1
    world.write("timestamp.json", stamp, world.keys["timestamp"])
    refused(member, world, "network-list-equivocation")


def test_a_role_vanishes_from_the_snapshot(world):
    member = world.joined()
    world.forge_snapshot(lambda snapshot: snapshot.meta.pop("q-north.json"))
    refused(member, world, "network-list-invalid")


def test_freeze(world):
    """A mirror that serves yesterday's files for ever is refused; the list in use ages."""
    member = world.joined()
    world.later(days=1, hours=1)
    refused(member, world, "network-list-expired")
    assert standing(member.applied(), world.now).level is Level.WARN
    world.later(days=1)
    assert standing(member.applied(), world.now).level is Level.DEGRADED
    world.later(days=6)
    assert standing(member.applied(), world.now).level is Level.REFUSED


def test_a_lost_timestamp(world):
    member = world.joined()
    (world.public / "metadata" / "timestamp.json").unlink()
    refused(member, world, "network-list-unreachable")


def test_a_lapsed_timestamp_recovers_when_the_network_signs_again(world):
    member = world.joined()
    world.later(days=3)
    refused(member, world, "network-list-expired")
    world.publish()
    assert member.sync(now=world.now).standing.level is Level.FRESH


@pytest.mark.parametrize("name", ["2.snapshot.json", "1.q-south.json", "1.targets.json"])
def test_mix_and_match_of_metadata(world, name):
    """Files of another state of the same network, each signed, in the place of the listed ones."""
    member = world.joined()
    other = world.folder / "member-2"
    world.later(hours=1)
    world.publisher.workspace.deny("ab" * 32, "stolen", certificate=False, now=world.now)
    world.add("south", "south-2", name="Renamed")
    world.publish()
    newest = {"2.snapshot.json": "2.snapshot.json"}.get(name, name.replace("1.", "2.", 1))
    older = name.replace("2.", "1.", 1)
    shutil.copy(world.public / "metadata" / older, world.public / "metadata" / newest)
    refused(member, world, "network-list-mixed")
    assert not other.exists()


def test_mix_and_match_of_a_target(world):
    member = world.joined()
    world.later(hours=1)
    world.add("north", "north-2", name="Renamed")
    world.publish()
    folder = world.public / "targets" / "q" / "north"
    one, two = folder.glob("*.index.json")
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    refused(member, world, "network-list-mixed", "network-list-too-large")


def test_a_qhin_signs_another_qhins_role(world):
    member = world.joined()
    world.later(hours=1)
    role = world.read("1.q-north.json")
    role.signed.version = 2
    role.signed.expires = world.now.replace(year=2042)
    data = world.write("2.q-north.json", role, world.qhins["south"])

    def forward(snapshot):
        snapshot.meta["q-north.json"] = MetaFile.from_data(2, data, ["sha256"])

    world.forge_snapshot(forward)
    refused(member, world, "network-list-signature")


def test_a_qhin_lists_another_qhins_path(world):
    """What a role says about a path outside its own is never looked at."""
    member = world.joined()
    index = (next((world.public / "targets" / "q" / "north").glob("*.index.json"))).read_bytes()
    forged = index.replace(b"Clinic north-2", b"Clinic xxxxx-2")
    role = world.read("1.q-south.json")
    path = "q/north/index.json"
    role.signed.targets[path] = TargetFile.from_data(path, forged, ["sha256"])
    role.signed.version = 2
    data = world.write("2.q-south.json", role, world.qhins["south"])
    name = f"{sha256_of(forged)}.index.json"
    (world.public / "targets" / "q" / "north" / name).write_bytes(forged)

    def forward(snapshot):
        snapshot.meta["q-south.json"] = MetaFile.from_data(2, data, ["sha256"])

    world.forge_snapshot(forward)
    member.sync(now=world.now)
    assert {e.id: e.name for _, e in member.applied().entries()}["north-2"] == "Clinic north-2"


@pytest.mark.parametrize(
    "claim",
    [
        {"identity": "north-3"},
        {"identity": "south-x", "home_community_id": "urn:oid:2.999.77"},
        {"identity": "south-x", "tls_pins": [{"spki_sha256": "cd" * 32}]},
    ],
    ids=["id", "home-community", "key"],
)
def test_a_qhin_claims_what_another_holds(world, claim):
    world.add("north", "north-3", home_community_id="urn:oid:2.999.77", name="Held",
              tls_pins=[{"spki_sha256": "cd" * 32}])  # fmt: skip
    world.publish()
    member = world.joined()
    world.later(hours=1)
    world.add("south", **{"home_community_id": "urn:oid:2.999.5", **claim, "name": "Stolen"})
    world.publish()
    report = member.sync(now=world.now)
    assert report.change.entries == ()
    listed = member.applied()
    (contest,) = listed.contested
    assert (contest.qhin, contest.held_by) == ("south", "north")
    assert "Stolen" not in {entry.name for _, entry in listed.entries()}


def test_what_two_new_claimants_claim_nobody_has(world):
    for qhin in ("north", "south"):
        world.add(qhin, f"{qhin}-y", home_community_id="urn:oid:2.999.88")
    world.publish()
    listed = world.joined().applied()
    assert len(listed.contested) == 2
    assert not {e.id for _, e in listed.entries()} & {"north-y", "south-y"}


def test_a_terminating_delegation_is_honoured(world):
    """A further delegation over a QHIN's path, even signed by the registrar's keys, is refused."""
    member = world.joined()
    thief = generate_signing_key()
    targets = world.read("1.targets.json")
    shadow = DelegatedRole("q-thief", [thief.public_key.keyid], 1, True, ["q/north/*"])
    targets.signed.delegations.roles["q-thief"] = shadow
    targets.signed.delegations.keys[thief.public_key.keyid] = thief.public_key
    targets.signed.version = 2
    data = world.write("2.targets.json", targets, world.keys["targets1"], world.keys["targets2"])

    def forward(snapshot):
        snapshot.meta["targets.json"] = MetaFile.from_data(2, data, ["sha256"])

    world.forge_snapshot(forward)
    assert refused(member, world, "network-list-invalid").where == "q-thief"


def test_a_delegation_that_does_not_terminate_is_refused(world):
    member = world.joined()
    targets = world.read("1.targets.json")
    targets.signed.delegations.roles["q-north"].terminating = False
    targets.signed.version = 2
    data = world.write("2.targets.json", targets, world.keys["targets1"], world.keys["targets2"])

    def forward(snapshot):
        snapshot.meta["targets.json"] = MetaFile.from_data(2, data, ["sha256"])

    world.forge_snapshot(forward)
    refused(member, world, "network-list-invalid")


def test_targets_below_their_threshold(world):
    member = world.joined()
    targets = world.read("1.targets.json")
    targets.signed.version = 2
    data = world.write("2.targets.json", targets, world.keys["targets1"])

    def forward(snapshot):
        snapshot.meta["targets.json"] = MetaFile.from_data(2, data, ["sha256"])

    world.forge_snapshot(forward)
    refused(member, world, "network-list-signature")


def test_a_qhin_below_its_threshold(world):
    first, second = generate_signing_key(), generate_signing_key()
    world.publisher.workspace.delegate(
        "north", name="North", keys=[first.public_key, second.public_key], threshold=2,
        organization_id="north-1",
    )  # fmt: skip
    world.qhins["north"] = first
    world.sign()
    world.staging.sign(second, roles=["q-north"], now=world.now)
    world.publish()
    member = world.joined()
    role = world.read("2.q-north.json")
    role.signed.version = 3
    data = world.write("3.q-north.json", role, first)

    def forward(snapshot):
        snapshot.meta["q-north.json"] = MetaFile.from_data(3, data, ["sha256"])

    world.forge_snapshot(forward)
    refused(member, world, "network-list-signature")


@pytest.mark.parametrize(
    ("file", "days"),
    [("1.root", 365), ("1.targets", 90), ("1.q-north", 30), ("1.snapshot", 7), ("timestamp", 1)],
)
def test_each_role_expires_when_the_design_says(world, file, days):
    """Facts B3.1."""
    assert world.read(f"{file}.json").signed.expires - world.now == timedelta(days=days)


def test_one_process_alone_fetches(world):
    """Facts B3.3 rule 2: python-tuf's cache is not made for two."""
    member = world.joined()
    with member._cache.locked():
        refused(member, world, "network-busy")


def test_a_publisher_cannot_publish_below_a_threshold(world):
    world.publisher.workspace.deny("ab" * 32, "stolen", certificate=False, now=world.now)
    world.sign(without=("targets2",))
    with pytest.raises(TrustError) as caught:
        world.publisher.publish(
            snapshot=world.keys["snapshot"], timestamp=world.keys["timestamp"], now=world.now
        )
    assert (caught.value.code, caught.value.where) == ("network-threshold-not-met", "targets")


class Endless(io.RawIOBase):
    def read1(self, size):
        return b" " * size

    read = read1


def test_endless_data(world):
    member = world.joined()
    member._fetching = Tampering(lambda tampering, stream: Endless())
    refused(member, world, "network-list-too-large")


def test_a_slow_mirror(world):
    class Slow(io.RawIOBase):
        def __init__(self, tampering):
            self.tampering = tampering

        def read1(self, size):
            self.tampering.seconds += 30
            return b" "

        read = read1

    member = world.joined()
    member._fetching = Tampering(lambda tampering, stream: Slow(tampering))
    refused(member, world, "network-list-unreachable")


def test_a_mirror_that_stops_sending(world):
    class Stopped(io.RawIOBase):
        def read1(self, size):
            raise TimeoutError

        read = read1

    member = world.joined()
    member._fetching = Tampering(lambda tampering, stream: Stopped())
    refused(member, world, "network-list-unreachable")


def test_the_root_rotates_one_by_one(world):
    member = world.joined()
    for version in (2, 3, 4):
        world.later(hours=1)
        fresh = generate_signing_key()
        world.staging.renew_root(world.holders(root1=fresh), now=world.now)
        for name in ("root2", "root3"):
            world.staging.sign(world.keys[name], roles=["root"], now=world.now)
        world.staging.sign(fresh, roles=["root"], now=world.now)
        world.keys["root1"] = fresh
        assert world.publish().root_version == version
    report = member.sync(now=world.now)
    assert member.applied().root_version == 4
    assert any("root" in sentence for sentence in report.change.sentences)


def test_a_lost_root_key_is_replaced_by_the_other_holders(world):
    member = world.joined()
    world.later(hours=1)
    fresh = generate_signing_key()
    world.staging.renew_root(world.holders(root3=fresh), now=world.now)
    lost = world.keys.pop("root3")
    for name in ("root1", "root2"):
        world.staging.sign(world.keys[name], roles=["root"], now=world.now)
    world.keys["root3"] = fresh
    assert world.publish().root_version == 2
    assert member.sync(now=world.now).applied
    assert lost.public_key.keyid not in world.read("2.root.json").signed.roles["root"].keyids


def test_a_non_sequential_root(world):
    member = world.joined()
    root = world.read("1.root.json")
    root.signed.version = 3
    world.write("2.root.json", root, world.keys["root1"], world.keys["root2"])
    refused(member, world, "network-list-rollback")


def test_a_root_signed_only_by_its_new_keys(world):
    member = world.joined()
    thieves = {f"root{n}": generate_signing_key() for n in (1, 2, 3)}
    root = world.read("1.root.json")
    root.signed.version = 2
    root.signed.keys |= {k.public_key.keyid: k.public_key for k in thieves.values()}
    root.signed.roles[Root.type].keyids = [k.public_key.keyid for k in thieves.values()]
    world.write("2.root.json", root, *thieves.values())
    refused(member, world, "network-list-signature")


def test_a_stolen_online_key_cannot_add_an_entry_and_is_recovered_from(world):
    """A thief of timestamp and snapshot may run versions up; a new root makes them worthless."""
    member = world.joined()

    def ahead(snapshot):
        snapshot.version = 1000

    world.forge_snapshot(ahead)
    stamp = world.read("timestamp.json")
    stamp.signed.version = 5000
    world.write("timestamp.json", stamp, world.keys["timestamp"])
    member.sync(now=world.now)
    assert member.applied().timestamp_version == 5000
    assert len(list(member.applied().entries())) == 24
    world.later(hours=1)
    fresh = {"snapshot": generate_signing_key(), "timestamp": generate_signing_key()}
    world.staging.renew_root(world.holders(**fresh), now=world.now)
    world.sign()
    (world.public / "metadata" / "timestamp.json").unlink()
    world.keys |= fresh
    world.publish()
    member.sync(now=world.now)
    assert member.applied().timestamp_version == 1


@pytest.mark.parametrize("part", ["lists", "targets", "root.json", "applied"])
def test_a_damaged_cache_is_noticed_on_load(world, part):
    member = world.joined()
    path = world.folder / "member" / part
    for file in [path] if path.is_file() else list(path.iterdir()):
        data = file.read_bytes()
        file.write_bytes(data.replace(b"1", b"2") if b"1" in data else b"x" + data)
    with pytest.raises(TrustError) as caught:
        member.applied()
    assert caught.value.code in ("network-cache-damaged", "network-list-mixed")


def test_an_entry_forged_in_the_cache_is_fetched_again(world):
    member = world.joined()
    for file in (world.folder / "member" / "targets").iterdir():
        file.write_bytes(file.read_bytes().replace(b"Clinic north-2", b"Clinic thief-2"))
    member.sync(now=world.now)
    assert {e.id: e.name for _, e in member.applied().entries()}["north-2"] == "Clinic north-2"


def test_a_root_planted_in_the_cache_is_not_trusted(world, tmp_path):
    """The cache is no anchor: another network's root and list in its place are refused."""
    member = world.joined()
    other = NetworkWorld(tmp_path / "other")
    other.publish()
    other.joined()
    for name in ("root.json", "metadata", "lists", "targets", "applied"):
        mine, theirs = world.folder / "member" / name, other.folder / "member" / name
        shutil.rmtree(mine) if mine.is_dir() else mine.unlink()
        shutil.copytree(theirs, mine) if theirs.is_dir() else shutil.copy(theirs, mine)
    with pytest.raises(TrustError) as caught:
        member.applied()
    assert caught.value.code == "network-cache-damaged"


def test_a_deleted_memory_does_not_allow_a_rollback(world):
    old = world.saved("old")
    world.later(hours=1)
    world.publish()
    member = world.joined()
    shutil.rmtree(world.folder / "member" / "metadata")
    world.put_back(old)
    refused(member, world, "network-list-rollback")


def test_a_moving_clock_changes_nothing(world):
    """All expiries are judged at the moment that the caller gave, however long fetching takes."""
    member = world.joined()
    expires = world.read("timestamp.json").signed.expires
    world.now = expires.replace(microsecond=0)
    refused(member, world, "network-list-expired")
    world.later(seconds=-1)
    assert member.sync(now=world.now).standing.level is Level.FRESH


def test_a_clock_that_was_set_back_is_refused(world):
    member = world.joined()
    world.later(minutes=-6)
    refused(member, world, "network-clock-behind")
    judged = standing(member.applied(), world.now)
    assert (judged.level, judged.reason_code) == (Level.REFUSED, "network-clock-behind")


def test_a_lapsed_qhin_does_not_stop_the_others(world):
    member = world.joined()
    world.later(days=29)
    with_north = world.qhins.pop("north")
    world.publish()
    world.later(hours=12)
    world.publish()
    world.later(hours=13)
    world.publish()
    member.sync(now=world.now)
    levels = {p.qhin: p.expires <= world.now for p in member.applied().qhins}
    assert levels == {"north": True, "south": False}
    assert with_north


def test_nonsense_in_one_qhins_index_costs_only_its_own_entries(world):
    member = world.joined()
    nonsense = orjson.dumps({"qhin": "north", "entries": [{"id": "?"}]})
    role = world.read("1.q-north.json")
    path = "q/north/index.json"
    role.signed.targets[path] = TargetFile.from_data(path, nonsense, ["sha256"])
    role.signed.version = 2
    data = world.write("2.q-north.json", role, world.qhins["north"])
    name = f"{sha256_of(nonsense)}.index.json"
    (world.public / "targets" / "q" / "north" / name).write_bytes(nonsense)

    def forward(snapshot):
        snapshot.meta["q-north.json"] = MetaFile.from_data(2, data, ["sha256"])

    world.forge_snapshot(forward)
    report = member.sync(now=world.now)
    assert not report.applied  # half of the network would vanish: somebody looks first
    parts = {part.qhin: part for part in member.waiting().qhins}
    assert parts["north"].fault
    assert not parts["south"].fault
    assert len(parts["south"].entries) == 12


def test_roles_of_another_type_are_refused(world):
    """A signed file in the place of another role's, by the same key."""
    member = world.joined()
    stamp = world.read("timestamp.json")
    assert isinstance(stamp.signed, Timestamp)
    snapshot = world.read("1.snapshot.json")
    world.write("timestamp.json", snapshot, world.keys["timestamp"])
    refused(member, world, "network-list-invalid")


def test_a_wrong_fingerprint_joins_nothing(world):
    member = world.member("stranger")
    with pytest.raises(TrustError) as caught:
        member.join(str(world.public), "ab" * 32)
    assert caught.value.code == "network-root-mismatch"
    assert member.joined() is None


def test_an_unknown_field_in_an_entry_is_told_to_its_author(world):
    with pytest.raises(TrustError) as caught:
        world.publisher.workspace.add("north", entry_json("north-9", tls_pinz=[]))
    assert (caught.value.code, caught.value.where) == ("network-entry-invalid", "tls_pinz")
