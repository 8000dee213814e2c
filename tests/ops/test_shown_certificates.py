"""What peers showed in handshakes: the newest of each, written once, bounded (issue 3, point 2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from node import shown_certificates
from node.settings import NodeHome
from node.shown_certificates import ShownCertificates, shown_ends
from trust.ca import Profile, create_ca, issue
from trust.certificates import fingerprint
from trust.csr import RequestedNames, build_csr
from trust.expiry import Expiring
from trust.keys import KeyKind, generate_key
from trust.usages import Usage

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DAY = timedelta(days=1)
SERVER, CLIENT = Usage.TLS_SERVER, Usage.TLS_CLIENT


@pytest.fixture
def home(tmp_path) -> NodeHome:
    return NodeHome(tmp_path / "home")


@pytest.fixture(scope="module")
def leaf():
    """A certificate that begins and ends so many days from now."""
    ca = create_ca("Peer CA", now=NOW - 500 * DAY)
    key = generate_key(KeyKind.P_256)
    names = RequestedNames(common_name="peer", dns_names=("peer.example",))
    request = build_csr(key, names, usages=(SERVER,))

    def made(begins: float, ends: float):
        return issue(
            ca,
            request,
            profile=Profile.TLS_SERVER,
            now=NOW + begins * DAY,
            lifetime=(ends - begins) * DAY,
        )

    return made


def shown(home: NodeHome, *, now: datetime = NOW) -> list[Expiring]:
    return list(shown_ends(home, now=now))


def test_it_is_named_with_its_organisation_use_and_digest(home, leaf):
    seen, certificate = ShownCertificates(home), leaf(0, 90)
    seen.saw("2.999.1", "Hill Hospital", certificate, SERVER)
    assert shown(home) == []
    assert seen.write()
    (item,) = shown(home)
    digits = fingerprint(certificate)[:8]
    assert item.name == f"Hill Hospital (2.999.1) tls-server {digits}"
    assert item.not_after == certificate.not_valid_after_utc


def test_a_certificate_is_written_once_however_often_it_is_shown(home, leaf):
    seen, certificate = ShownCertificates(home), leaf(0, 90)
    written = []
    for _ in range(5):
        seen.saw("2.999.1", "Hill", certificate, SERVER)
        written.append(seen.write())
    assert written == [True, False, False, False, False]
    again = ShownCertificates(home)  # another process, or the node started again
    again.saw("2.999.1", "Hill", certificate, SERVER)
    assert not again.write()


def test_the_newest_counts_while_two_servers_of_a_peer_still_differ(home, leaf):
    seen, old, new = ShownCertificates(home), leaf(-80, 10), leaf(-1, 89)
    for certificate in (old, new, old, new, old):
        seen.saw("2.999.1", "Hill", certificate, SERVER)
    seen.write()
    assert [item.not_after for item in shown(home)] == [new.not_valid_after_utc]
    seen.saw("2.999.1", "Hill", old, SERVER)
    assert not seen.write()


def test_what_asks_and_what_answers_are_kept_apart(home, leaf):
    seen = ShownCertificates(home)
    seen.saw("2.999.1", "Hill", leaf(0, 90), SERVER)
    seen.saw("2.999.1", "Hill", leaf(0, 30), CLIENT)
    seen.write()
    assert [item.name.split()[2] for item in shown(home)] == ["tls-client", "tls-server"]


def test_two_processes_lose_nothing_of_each_other(home, leaf):
    one, other = ShownCertificates(home), ShownCertificates(home)
    one.saw("2.999.1", "Hill", leaf(0, 90), SERVER)
    other.saw("2.999.2", "Lake", leaf(0, 80), SERVER)
    one.saw("2.999.3", "Dale", leaf(-9, 70), SERVER)
    other.saw("2.999.3", "Dale", leaf(0, 75), SERVER)
    assert other.write()
    assert one.write()
    assert [item.name.split()[0] for item in shown(home)] == ["Dale", "Lake", "Hill"]
    assert shown(home)[0].not_after == NOW + 75 * DAY


def test_organisations_behind_one_certificate_are_one_line(home, leaf):
    seen, shared = ShownCertificates(home), leaf(0, 90)
    for number in range(5):
        seen.saw(f"2.999.{number}", f"Clinic {number}", shared, SERVER)
    seen.write()
    (item,) = shown(home)
    assert (item.name[:18], item.others) == ("Clinic 0 (2.999.0)", 4)


def test_one_that_ended_long_ago_is_not_told_of_any_more(home, leaf):
    seen = ShownCertificates(home)
    seen.saw("2.999.1", "Hill", leaf(-100, 0), SERVER)
    seen.write()
    assert len(shown(home, now=NOW + 29 * DAY)) == 1
    assert shown(home, now=NOW + 31 * DAY) == []


def test_what_is_kept_and_what_is_listed_is_bounded(home, leaf, monkeypatch):
    monkeypatch.setattr(shown_certificates, "MAX_KEPT", 6)
    monkeypatch.setattr(shown_certificates, "MOST", 2)
    seen = ShownCertificates(home)
    for number in range(9):
        seen.saw(f"2.999.{number}", f"Clinic {number}", leaf(0, 10 + number), SERVER)
    seen.write()
    *listed, rest = shown(home)
    assert [(item.not_after - NOW) / DAY for item in listed] == [13, 14]
    assert ((rest.not_after - NOW) / DAY, rest.others) == (15, 3)


@pytest.mark.parametrize("text", ["", "{", "[{}]", "[1]", '{"a": 1}'])
def test_a_damaged_file_begins_anew(home, leaf, text):
    home.shown.mkdir(parents=True)
    (home.shown / "certificates.json").write_text(text)
    assert shown(home) == []
    seen = ShownCertificates(home)
    seen.saw("2.999.1", "Hill", leaf(0, 90), SERVER)
    assert seen.write()
    assert len(shown(home)) == 1


def test_what_cannot_be_written_is_tried_again(home, leaf):
    home.path.mkdir()
    (home.path / "trust").write_text("in the way")
    seen = ShownCertificates(home)
    seen.saw("2.999.1", "Hill", leaf(0, 90), SERVER)
    assert not seen.write()
    (home.path / "trust").unlink()
    assert seen.write()
    assert len(shown(home)) == 1
