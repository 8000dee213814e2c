"""A network in temporary folders: its holders' keys, its published files, its members, one clock.

The date lies years away from today, so that code which reads the real clock fails.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

from tuf.api.metadata import Metadata, MetaFile
from tuf.api.serialization.json import JSONSerializer

from trust.network_list.fetch import MirrorFetcher
from trust.network_list.listing import NetworkPolicy
from trust.network_list.member import Membership
from trust.network_list.publishing import Publisher
from trust.network_list.signing_keys import generate_signing_key
from trust.network_list.staging import Holders

BEGIN = datetime(2041, 5, 1, 12, tzinfo=UTC)


def entry_json(identity="north-1", **fields):
    number = int.from_bytes(identity.encode())
    values = {
        "id": identity,
        "name": f"Clinic {identity}",
        "home_community_id": f"urn:oid:2.999.{number}",
        "endpoints": [{"kind": "ITI-55", "url": f"https://{identity}.example/xcpd"}],
        **fields,
    }
    return json.dumps(values).encode()


class NetworkWorld:
    """Publishes as an honest network does; tests damage ``public`` as an attacker would."""

    def __init__(self, folder):
        self.folder = folder
        self.now = BEGIN
        self.keys = {
            name: generate_signing_key()
            for name in ("root1", "root2", "root3", "targets1", "targets2", "snapshot", "timestamp")
        }
        self.qhins = {}
        self.publisher = Publisher(folder / "network")
        self.staging = self.publisher.staging
        self.staging.create(NetworkPolicy(network="Test"), self.holders(), now=self.now)
        for qhin in ("north", "south"):
            self.join_qhin(qhin)
            for number in range(1, 13):
                self.add(qhin, f"{qhin}-{number}")

    @property
    def public(self):
        return self.folder / "network" / "public"

    def holders(self, **replaced):
        keys = {**self.keys, **replaced}
        return Holders(
            root=[keys[f"root{n}"].public_key for n in (1, 2, 3)],
            root_threshold=2,
            targets=[keys[f"targets{n}"].public_key for n in (1, 2)],
            targets_threshold=2,
            snapshot=[keys["snapshot"].public_key],
            timestamp=[keys["timestamp"].public_key],
        )

    def join_qhin(self, qhin):
        self.qhins[qhin] = generate_signing_key()
        self.publisher.workspace.delegate(
            qhin,
            name=qhin.title(),
            keys=[self.qhins[qhin].public_key],
            threshold=1,
            organization_id=f"{qhin}-1",
        )

    def add(self, qhin, identity, **fields):
        self.publisher.workspace.add(qhin, entry_json(identity, **fields))

    def sign(self, *, without=()):
        signers = {**{k: v for k, v in self.keys.items() if k[:4] in ("root", "targ")}}
        signers |= self.qhins
        roles = set(self.staging.stage(now=self.now))
        for name, signer in signers.items():
            wanted = {f"q-{name}", name.rstrip("123")} & roles
            if wanted and name not in without:
                self.staging.sign(signer, roles=sorted(wanted), now=self.now)

    def publish(self):
        self.sign()
        return self.publisher.publish(
            snapshot=self.keys["snapshot"], timestamp=self.keys["timestamp"], now=self.now
        )

    def later(self, **duration):
        self.now += timedelta(**duration)

    def member(self, name="member", *, fetching=None, own_id=None):
        given = {} if fetching is None else {"fetching": fetching}
        return Membership(self.folder / name, own_id=own_id, **given)

    def joined(self, name="member", **options):
        member = self.member(name, **options)
        member.join(str(self.public), self.publisher.root_fingerprint())
        member.sync(now=self.now)
        return member

    # --- what an attacker does --------------------------------------------------------------------

    def saved(self, name):
        """A copy of what is published now."""
        copy = self.folder / name
        shutil.copytree(self.public, copy)
        return copy

    def put_back(self, copy):
        shutil.rmtree(self.public)
        shutil.copytree(copy, self.public)

    def read(self, name):
        return Metadata.from_bytes((self.public / "metadata" / name).read_bytes())

    def write(self, name, envelope, *signers):
        for number, signer in enumerate(signers):
            envelope.sign(signer, append=number > 0)
        data = envelope.to_bytes(JSONSerializer(compact=True))
        (self.public / "metadata" / name).write_bytes(data)
        return data

    def forge_snapshot(self, change):
        """A snapshot and timestamp that a thief of the online keys signs."""
        stamp = self.read("timestamp.json")
        version = stamp.signed.snapshot_meta.version
        snapshot = self.read(f"{version}.snapshot.json")
        change(snapshot.signed)
        snapshot.signed.version = version + 1
        data = self.write(f"{version + 1}.snapshot.json", snapshot, self.keys["snapshot"])
        stamp.signed.snapshot_meta = MetaFile.from_data(version + 1, data, ["sha256"])
        stamp.signed.version += 1
        self.write("timestamp.json", stamp, self.keys["timestamp"])


class Tampering:
    """A fetcher whose chunks a test changes; ``tick`` is its stopwatch."""

    def __init__(self, change):
        self.change = change
        self.seconds = 0.0

    def __call__(self, url):
        fetcher = MirrorFetcher(url, monotonic=lambda: self.seconds)
        honest = fetcher._chunks
        fetcher._chunks = lambda stream: honest(self.change(self, stream))
        return fetcher
