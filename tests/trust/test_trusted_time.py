"""The clock rule (facts pki A10): the highest trusted time seen is kept and never undercut."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.anchors import anchor_of
from tests.network_world import BEGIN, NetworkWorld
from trust.binder import Binder
from trust.binding import OrganizationTrust, PresentedKeys
from trust.errors import TrustError
from trust.network_list.member import Membership
from trust.trusted_time import clock_behind, keep_trusted_time, require_clock, trusted_time

SECOND = timedelta(seconds=1)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "trusted-time"


def code(call, *arguments, **named):
    with pytest.raises(TrustError) as caught:
        call(*arguments, **named)
    return caught.value.code


def test_the_highest_time_is_kept(file):
    assert trusted_time(file) is None
    assert keep_trusted_time(file, BEGIN)
    assert not keep_trusted_time(file, BEGIN)
    assert not keep_trusted_time(file, BEGIN - SECOND)
    assert trusted_time(file) == BEGIN
    assert keep_trusted_time(file, BEGIN + SECOND)
    assert trusted_time(file) == BEGIN + SECOND


@pytest.mark.parametrize("data", [b"", b"yesterday", b"\xff\xfe", b"2041-13-01T00:00:00+00:00"])
def test_a_damaged_file_is_not_taken_for_no_bound(file, data):
    file.write_bytes(data)
    assert code(trusted_time, file) == "trusted-time-damaged"


def test_a_clock_may_be_behind_by_the_skew_and_no_more():
    assert clock_behind(BEGIN, None) is None
    assert clock_behind(BEGIN - 300 * SECOND, BEGIN) is None
    assert clock_behind(BEGIN - 301 * SECOND, BEGIN).code == "clock-behind"
    assert code(require_clock, BEGIN - 301 * SECOND, BEGIN) == "clock-behind"


def test_a_sync_raises_the_bound_and_refuses_a_clock_behind_it(tmp_path, file):
    world = NetworkWorld(tmp_path)
    world.publish()
    member = Membership(tmp_path / "member", trusted_time=file)
    member.join(str(world.public), world.publisher.root_fingerprint())
    member.sync(now=world.now)
    assert trusted_time(file) == BEGIN
    world.later(hours=1)
    world.publish()
    member.sync(now=world.now)
    assert trusted_time(file) == BEGIN + timedelta(hours=1)
    assert code(member.sync, now=BEGIN) == "clock-behind"


def test_a_signer_ahead_of_time_does_not_stop_the_node(tmp_path, file):
    """The timestamp key is online; a thief must not be able to move the bound past the clock."""
    world = NetworkWorld(tmp_path)
    world.publish()
    member = Membership(tmp_path / "member", trusted_time=file)
    member.join(str(world.public), world.publisher.root_fingerprint())
    assert code(member.sync, now=BEGIN - timedelta(hours=1)) == "network-clock-behind"
    assert trusted_time(file) is None


def test_with_a_clock_behind_nobody_is_bound_even_by_a_remembered_verdict(issue, dev_ca, now):
    trusted = [None]
    binder = Binder(
        [anchor_of(dev_ca.certificate)], allow_unpinned=True, trusted=lambda: trusted[0]
    )
    shown = PresentedKeys(tls_leaf=issue("a.example").certificate)
    trust = OrganizationTrust(organization_id="org-1", host_names=frozenset({"a.example"}))
    assert binder.bind(shown, trust, now=now).ok
    trusted[0] = now + timedelta(minutes=4)
    assert binder.bind(shown, trust, now=now).ok
    trusted[0] = now + timedelta(minutes=6)
    assert binder.bind(shown, trust, now=now).reason_code == "clock-behind"
    assert binder.bind(shown, trust, now=now + timedelta(minutes=2)).ok
