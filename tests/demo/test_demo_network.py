"""The network on disk is what the plan says, with everything a node needs to run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from directory.model import PinUse
from node.demo.network import BuiltNode, Network, build_network
from node.demo.people import Behaviour
from node.demo.plan import NetworkPlan
from node.errors import SettingsError
from node.identity import Role, identity_files
from node.opened import opened_home
from node.policy.opt_out import parse_opt_outs
from trust.certificates import load_certificates
from trust.keys import spki_sha256


def nodes(network: Network) -> list[BuiltNode]:
    return [network.asking, *(member.node for member in network.members)]


def member(network: Network, behaviour: Behaviour) -> BuiltNode:
    return next(m.node for m in network.members if m.behaviour is behaviour)


def test_no_two_nodes_share_a_key_an_hcid_or_a_port(demo_network: Network) -> None:
    keys = [
        spki_sha256(load_certificates(identity_files(node.home, role).certificate)[0])
        for node in nodes(demo_network)
        for role in Role
    ]
    assert len(keys) == len(set(keys))
    settings = [node.settings for node in nodes(demo_network)]
    assert len({s.node.home_community_id for s in settings}) == len(settings)
    ports = [p for s in settings for p in (s.listen.port, s.grpc.port, s.ops.port)]
    assert len(ports) == len(set(ports))


def test_every_home_knows_the_directory_and_pins_the_others(demo_network: Network) -> None:
    everybody = {node.organisation.oid for node in nodes(demo_network)}
    for node in nodes(demo_network):
        with opened_home(node.home, node.settings) as opened:
            found = opened.directory.search("").organizations
            assert {o.id for o in found} == everybody | {demo_network.plan.network.oid}
            # the QHIN's own entry neither asks nor answers here, which the checks point out
            findings = [(f.code, f.resource_id) for _, f in opened.directory.findings()]
            assert findings == [("no-purposes", demo_network.plan.network.oid)]
            for other in everybody - {node.organisation.oid}:
                assert {pin.use for pin in opened.directory.local.pins(other)} == set(PinUse)
            assert not opened.directory.local.pins(node.organisation.oid)


def test_each_member_finds_what_the_plan_says_of_the_patient(demo_network: Network) -> None:
    asked = demo_network.plan.demographics
    for each, plan in zip(demo_network.members, demo_network.plan.members, strict=True):
        with opened_home(each.node.home, each.node.settings) as opened:
            found = opened.index.match(asked)
            filed = {
                held.sha256
                for held in opened.index.documents(limit=1000)
                if found and held.entry.patient_id == found[0].patient_id
            }
        assert filed == plan.about_patient == each.held, each.node.organisation.name


def test_the_declining_member_has_the_patient_on_its_list_and_says_so(
    demo_network: Network,
) -> None:
    node = member(demo_network, Behaviour.DECLINES)
    assert node.settings.policy.quiet_opt_out is False
    opt_outs = parse_opt_outs(node.home.resolve(node.settings.policy.opt_out_file).read_text())
    with opened_home(node.home, node.settings) as opened:
        found = opened.index.match(demo_network.plan.demographics)
    assert opt_outs.any_of([found[0].patient_id])


def test_the_slow_member_waits_longer_than_the_asker(demo_network: Network) -> None:
    slow = member(demo_network, Behaviour.IS_SLOW)
    patience = demo_network.asking.settings.asking.per_peer_discovery_seconds
    assert slow.settings.listen.answer_delay_seconds > 2 * patience


def test_the_member_that_is_down_is_not_served(demo_network: Network) -> None:
    assert member(demo_network, Behaviour.IS_DOWN) not in demo_network.served
    assert len(demo_network.served) == len(demo_network.members)


def test_a_folder_with_something_in_it_is_left_alone(
    demo_plan: NetworkPlan, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(SettingsError) as caught:
        build_network(demo_plan, tmp_path, datetime.now(UTC), patience=6)
    assert caught.value.code == "demo-home-not-empty"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
