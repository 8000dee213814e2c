"""A network from its first key to a denied one, by the commands that people type.

The publisher's folder is served by a plain web server on loopback; two members join it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from node.app import Composition
from node.cli.exits import Exit
from node.cli.main import run
from node.ledger.private import create_key
from trust.keys import KeyKind, generate_key, spki_sha256
from trust.network_list.live import LiveDenied


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def tefca(capsys, monkeypatch):
    """Runs a command in this process; gives its exit code and its standard output."""

    def command(*words, home="."):
        monkeypatch.setattr(sys, "argv", ["tefca-node", "--home", str(home), *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            run(Composition())
        return ended.value.code, capsys.readouterr().out

    return command


def node_home(folder, name):
    home = folder / name
    for part in ("directory", "trust"):
        (home / part).mkdir(parents=True)
    create_key(home, bytes(range(32)))
    (home / "node.toml").write_text(
        f"""
[node]
name = "{name}"
home_community_id = "urn:oid:2.999.{len(name)}"
organization_id = "{name}"
assigning_authority = "2.999.{len(name)}.1"
repository_unique_id = "2.999.{len(name)}.2"
"""
    )
    return home


def entry_file(folder, identity, **fields):
    path = folder / f"{identity}.json"
    values = {
        "id": identity,
        "name": f"Clinic {identity}",
        "home_community_id": f"urn:oid:2.999.7.{int.from_bytes(identity.encode())}",
        "endpoints": [{"kind": "ITI-55", "url": f"https://{identity}.example/xcpd"}],
    }
    path.write_text(json.dumps(values | fields))
    return path


def test_a_network_from_its_first_key_to_a_denied_one(tefca, tmp_path, monkeypatch):
    monkeypatch.delenv("TEFCA_NODE_PASSPHRASE", raising=False)
    net = tmp_path / "net"

    # two holders keep keys of their own, the QHIN keeps its own
    for name in ("ann", "bob", "carl", "north"):
        assert tefca("network", "key", tmp_path / name)[0] == Exit.DONE
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    pub = {name: tmp_path / f"{name}.pub" for name in ("ann", "bob", "carl", "north")}
    holders = []
    for name in ("ann", "bob", "carl"):
        holders += ["--root-key", pub[name], "--targets-key", pub[name]]
    thresholds = ["--root-threshold", 2, "--targets-threshold", 2]
    assert tefca("network", "init", net, "--name", "Valley", *holders, *thresholds)[0] == Exit.DONE
    of_north = ["--name", "North", "--key", pub["north"], "--organization-id", "hub"]
    assert tefca("network", "delegate", net, "north", *of_north)[0] == Exit.DONE
    files = [entry_file(tmp_path, name) for name in ("hub", "east", "west")]
    assert tefca("network", "add", net, "north", *files)[0] == Exit.DONE

    # one signature is not enough
    assert tefca("network", "sign", net, "--key", tmp_path / "ann")[0] == Exit.DONE
    assert tefca("network", "publish", net)[0] == Exit.OUR_SIDE
    for name in ("bob", "north"):
        assert tefca("network", "sign", net, "--key", tmp_path / name)[0] == Exit.DONE
    code, out = tefca("network", "publish", net, "--json")
    assert code == Exit.DONE
    fingerprint = json.loads(out)["published"]["root_fingerprint"]

    east, west = node_home(tmp_path, "east"), node_home(tmp_path, "west")
    with served(net / "public") as url:
        for home in (east, west):
            wrong = ["--root-fingerprint", "ab" * 32]
            assert tefca("network", "join", url, *wrong, home=home)[0] == Exit.THEIR_SIDE
            right = ["--root-fingerprint", fingerprint]
            assert tefca("network", "join", url, *right, home=home)[0] == Exit.DONE
            assert tefca("network", "status", home=home)[0] == Exit.DONE
            planned = json.loads(tefca("cert", "plan", "--json", home=home)[1])
            roles = {r["name"]: r["level"] for r in planned if r["kind"] == "network-role"}
            assert roles == dict.fromkeys(
                ("root", "targets", "snapshot", "timestamp", "delegated north"), "ok"
            )
        code, out = tefca("directory", "show", "west", "--json", home=east)
        assert json.loads(out)["organization"]["endpoints"][0]["address"].startswith("https://west")

        # an entry changes: one of three is a large change, so it waits, and is shown
        key = "cd" * 32
        entry_file(tmp_path, "west", name="Clinic West", tls_pins=[{"spki_sha256": key}])
        assert tefca("network", "add", net, "north", tmp_path / "west.json")[0] == Exit.DONE
        assert tefca("network", "sign", net, "--key", tmp_path / "north")[0] == Exit.DONE
        assert tefca("network", "publish", net)[0] == Exit.DONE
        code, out = tefca("network", "sync", home=east)
        assert code == Exit.NOT_GOOD
        assert "Clinic West (west, by north) changed: name, tls_pins." in out
        assert "Clinic west" in tefca("directory", "show", "west", home=east)[1]
        assert tefca("network", "status", home=east)[0] == Exit.NOT_GOOD
        code, out = tefca("network", "diff", "--json", home=east)
        digest = json.loads(out)["after"]
        assert tefca("network", "approve", "00000000", home=east)[0] == Exit.OUR_SIDE
        assert tefca("network", "approve", digest[:16], home=east)[0] == Exit.DONE
        shown = tefca("directory", "show", "west", home=east)[1]
        assert "Clinic West" in shown
        assert key in shown

        # a denial is in force a second later, even while the rest waits for approval
        seconds = iter([0.0, 0.5, 0.9, 1.0])
        live = LiveDenied(west / "trust" / "network", monotonic=lambda: next(seconds))
        stolen = generate_key(KeyKind.P_256).public_key()
        assert live.denial(stolen) is None
        denial = ["--spki", spki_sha256(stolen), "--reason", "stolen laptop"]
        assert tefca("network", "deny", net, *denial)[0] == Exit.DONE
        for name in ("ann", "carl"):
            assert tefca("network", "sign", net, "--key", tmp_path / name)[0] == Exit.DONE
        assert tefca("network", "publish", net)[0] == Exit.DONE
        code, out = tefca("network", "sync", home=west)
        assert code == Exit.NOT_GOOD
        assert f"The denial of the key {spki_sha256(stolen)} was added." in out
        assert live.denial(stolen) is None
        assert live.denial(stolen).reason == "stolen laptop"

    # the mirror is gone: the list in use stays
    assert tefca("network", "sync", home=east)[0] == Exit.NETWORK
    assert "Clinic West" in tefca("directory", "show", "west", home=east)[1]


def test_leaving_undoes_the_join(tefca, tmp_path, monkeypatch):
    """It is shown before, written into the log, and finished where it was interrupted."""
    monkeypatch.delenv("TEFCA_NODE_PASSPHRASE", raising=False)
    net, keys = tmp_path / "net", tmp_path / "net" / "keys"
    assert tefca("ca", "create", tmp_path / "ca", "--name", "Valley CA")[0] == Exit.DONE
    assert tefca("network", "key", tmp_path / "north")[0] == Exit.DONE
    assert tefca("network", "init", net, "--name", "Valley")[0] == Exit.DONE
    of_north = ["--name", "North", "--key", tmp_path / "north.pub", "--organization-id", "hub"]
    assert tefca("network", "delegate", net, "north", *of_north)[0] == Exit.DONE
    hub = entry_file(tmp_path, "hub", tls_pins=[{"spki_sha256": "cd" * 32}])
    files = [hub, entry_file(tmp_path, "east")]
    assert tefca("network", "add", net, "north", *files)[0] == Exit.DONE
    ca = tmp_path / "ca" / "ca.pem"
    assert tefca("network", "anchor", "add", net, "valley", ca)[0] == Exit.DONE
    stolen = ["--spki", "ab" * 32, "--reason", "stolen"]
    assert tefca("network", "deny", net, *stolen)[0] == Exit.DONE
    for key in (*keys.glob("root-*.key"), *keys.glob("targets-*.key"), tmp_path / "north"):
        assert tefca("network", "sign", net, "--key", key)[0] in (Exit.DONE, Exit.OUR_SIDE)
    code, out = tefca("network", "publish", net, "--json")
    assert code == Exit.DONE
    root = json.loads(out)["published"]["root_fingerprint"]
    east = node_home(tmp_path, "east")
    folder = east / "trust" / "network"

    def anchors():
        return [a["label"] for a in json.loads(tefca("anchor", "list", "--json", home=east)[1])]

    def known(identity):
        return tefca("directory", "show", identity, home=east)[0] == Exit.DONE

    def acts():
        found = json.loads(tefca("log", "find", "--act", "network-leave", "--json", home=east)[1])
        return [entry["sentence"] for entry in reversed(found["entries"])]

    assert tefca("network", "leave", home=east)[0] == Exit.OUR_SIDE
    with served(net / "public") as url:
        join = ["network", "join", url, "--root-fingerprint", root]
        assert tefca(*join, home=east)[0] == Exit.DONE
        live = LiveDenied(folder, monotonic=iter(range(100)).__next__)
        assert live.list_in_use()
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for extra in ((), ("--json",)):
            code, out = tefca("network", "leave", "--dry-run", *extra, home=east)
            assert code == Exit.DONE
        would = json.loads(out)
        assert (would["left"], would["organizations"], would["own_entry"]) == (
            False, ["east", "hub"], True,
        )  # fmt: skip
        assert (len(would["anchors"]), would["denied"]) == (1, 1)
        assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
        assert (anchors(), known("hub"), acts()) == (["valley"], True, [])

        code, out = tefca("network", "leave", home=east)
        assert code == Exit.DONE
        assert "Gone from the directory: 2 organisations." in out
        assert "Lifted: 1 denial." in out
        assert "directory import own.json" in out
        assert (anchors(), known("hub"), known("east")) == ([], False, False)
        assert [p.name for p in folder.rglob("*") if p.is_file()] == ["lock"]
        assert live.generation()
        assert live.list_in_use() is None
        assert tefca("network", "status", home=east)[0] == Exit.OUR_SIDE
        assert tefca("network", "leave", home=east)[0] == Exit.OUR_SIDE

        assert acts() == [
            f"Begun: leaving the network with the root {root[:16]}.",
            f"The network with the root {root[:16]} was left: 2 organisations gone.",
        ]

        # one that was interrupted after the record was gone, and one whose list is damaged
        assert tefca(*join, home=east)[0] == Exit.DONE
        assert (anchors(), known("hub")) == (["valley"], True)
        (folder / "membership.json").unlink()
        assert tefca("network", "leave", home=east)[0] == Exit.DONE
        assert not known("hub")
        assert tefca(*join, home=east)[0] == Exit.DONE
        for file in (folder / "lists").iterdir():
            file.write_text("damaged")
        assert tefca("network", "leave", home=east)[0] == Exit.DONE
        assert (anchors(), known("hub")) == ([], False)


def test_anchors_and_policy_from_the_registrar_to_a_member(tefca, tmp_path, monkeypatch):
    """The list makes a member trust a CA; the registrar may take that back."""
    monkeypatch.delenv("TEFCA_NODE_PASSPHRASE", raising=False)
    net, keys = tmp_path / "net", tmp_path / "net" / "keys"
    ca = tmp_path / "ca"
    assert tefca("ca", "create", ca, "--name", "Valley CA")[0] == Exit.DONE
    assert tefca("network", "key", tmp_path / "north")[0] == Exit.DONE
    assert tefca("network", "init", net, "--name", "Valley")[0] == Exit.DONE
    of_north = ["--name", "North", "--key", tmp_path / "north.pub", "--organization-id", "hub"]
    assert tefca("network", "delegate", net, "north", *of_north)[0] == Exit.DONE
    entry = entry_file(tmp_path, "hub", initiates=["T-TRTMNT", "T-PYMNT"])
    assert tefca("network", "add", net, "north", entry)[0] == Exit.DONE
    code, out = tefca("network", "anchor", "add", net, "valley", ca / "ca.pem", "--use",
                      "tls-client", "--unknown", "hard")  # fmt: skip
    assert code == Exit.DONE
    purposes = ["--minimum-strength", "deny", "--purpose", "T-TRTMNT"]
    assert tefca("network", "policy", "set", net, *purposes)[0] == Exit.DONE
    shown = json.loads(tefca("network", "policy", "show", net, "--json")[1])
    assert (shown["minimum_strength"], shown["purposes"]) == ("deny", ["T-TRTMNT"])
    (staged,) = json.loads(tefca("network", "anchor", "list", net, "--json")[1])
    assert staged["fingerprint"] in out

    def publish():
        signing = [keys / f"root-{n}.key" for n in (1, 2, 3)]
        signing += [keys / "targets-1.key", keys / "targets-2.key", tmp_path / "north"]
        waits = {each["role"] for each in json.loads(tefca("network", "sign", net, "--json")[1])}
        for key in signing:
            if any(key.stem.startswith(role.removeprefix("q-")) for role in waits):
                assert tefca("network", "sign", net, "--key", key)[0] == Exit.DONE
        code, out = tefca("network", "publish", net, "--json")
        assert code == Exit.DONE
        return json.loads(out)["published"]["root_fingerprint"]

    root, east = publish(), node_home(tmp_path, "east")
    with served(net / "public") as url:
        code, out = tefca("network", "join", url, "--root-fingerprint", root, home=east)
        assert code == Exit.DONE
        assert f"The list's CA valley is trusted: {staged['fingerprint']}." in out
        (anchor,) = json.loads(tefca("anchor", "list", "--json", home=east)[1])
        assert (anchor["label"], anchor["network"]) == ("valley", "Valley")
        assert (anchor["local"], anchor["listed"], anchor["added"]) == (False, True, None)
        assert (anchor["uses"], anchor["minimum_strength"]) == (["tls-client"], "deny")
        assert anchor["revocation"]["unknown"] == "hard"
        hub = json.loads(tefca("directory", "show", "hub", "--json", home=east)[1])
        assert hub["organization"]["initiates"] == ["T-TRTMNT"]

        def examined():
            rows = json.loads(tefca("doctor", "--json", home=east)[1])
            return [row["status"] for row in rows if row["check"] == "network list"]

        assert examined() == ["ok"]

        # one network at a time, said in a sentence
        assert tefca("network", "join", url, "--root-fingerprint", root, home=east)[0] == (
            Exit.OUR_SIDE
        )

        assert tefca("network", "anchor", "remove", net, "valley")[0] == Exit.DONE
        publish()
        code, out = tefca("network", "sync", home=east)
        assert code == Exit.NOT_GOOD
        assert f"The anchor valley ({staged['fingerprint']}) was removed." in out
        assert len(json.loads(tefca("anchor", "list", "--json", home=east)[1])) == 1
        assert examined() == ["warn"]
        digest = json.loads(tefca("network", "diff", "--json", home=east)[1])["after"]
        assert tefca("network", "approve", digest[:16], home=east)[0] == Exit.DONE
        assert json.loads(tefca("anchor", "list", "--json", home=east)[1]) == []


def test_a_command_before_joining_says_what_to_do(tefca, tmp_path):
    home = node_home(tmp_path, "alone")
    assert tefca("network", "sync", home=home)[0] == Exit.OUR_SIDE
    assert tefca("network", "status", home=home)[0] == Exit.OUR_SIDE
    assert (
        tefca("network", "join", "http://example.org", "--root-fingerprint", "ab" * 32, home=home)[
            0
        ]
        == Exit.OUR_SIDE
    )


def test_keys_made_here_are_encrypted_when_a_passphrase_is_set(tefca, tmp_path, monkeypatch):
    monkeypatch.setenv("TEFCA_NODE_PASSPHRASE", "correct horse")
    assert tefca("network", "key", tmp_path / "ann")[0] == Exit.DONE
    assert b"ENCRYPTED" in (tmp_path / "ann").read_bytes()
