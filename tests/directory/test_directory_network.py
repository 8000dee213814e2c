from directory.model import Endpoint, Organization
from directory.network import Node, Served, check_network, node_of

T = frozenset({"T-TRTMNT"})
BOTH = frozenset({"T-TRTMNT", "T-IAS"})


def served(address="https://a.example/", transaction="ITI-38", responds=T):
    return Served(transaction=transaction, address=address, responds=responds)


def node(identity, part_of=None, **fields):
    fields.setdefault("initiator_only", True)
    return Node(id=identity, part_of=part_of, **fields)


def codes(*nodes):
    return sorted((f.code, f.resource_id) for f in check_network(nodes))


def test_a_sound_network_has_no_findings():
    qhin = node("q", purposes=BOTH, home_community_ids=("h1",), served=(served(),))
    assert codes(qhin, node("p", "q", purposes=T), node("s", "p", purposes=T)) == []


def test_missing_parent():
    assert codes(node("a", "gone")) == [("missing-parent", "a")]


def test_missing_managing_organization():
    assert codes(node("a", managing="gone")) == [("missing-managing-organization", "a")]


def test_part_of_cycle_names_every_member_and_nobody_below():
    found = codes(node("a", "b"), node("b", "c"), node("c", "a"), node("d", "a"), node("e", "e"))
    assert found == [("part-of-cycle", x) for x in ("a", "b", "c", "e")]


def test_purposes_beyond_ancestors():
    chain = [node("q", purposes=T), node("p", "q", purposes=BOTH), node("s", "p", purposes=BOTH)]
    found = codes(*chain)
    assert found == [("purposes-beyond-ancestors", "p"), ("purposes-beyond-ancestors", "s")]


def test_an_ancestor_without_purposes_restricts_nobody():
    assert codes(node("q"), node("p", "q", purposes=T)) == []


def test_duplicate_hcid_names_every_holder():
    found = codes(node("a", home_community_ids=("h",)), node("b", home_community_ids=("h",)))
    assert found == [("duplicate-hcid", "a"), ("duplicate-hcid", "b")]


def test_tefcaid_reuse_and_shared_npi_are_worth_knowing():
    shared = {"tefca_ids": ("t",), "npis": ("1",)}
    found = list(check_network([node("a", **shared), node("b", **shared)]))
    assert {(f.code, f.severity.value) for f in found} == {
        ("tefcaid-reuse", "info"),
        ("npi-shared", "info"),
    }


def test_endpoint_under_two_qhins():
    left = node("a", managing="q1", served=(served(),))
    right = node("b", managing="q2", served=(served(),))
    found = codes(node("q1"), node("q2"), left, right)
    assert found == [("endpoint-under-two-qhins", "a"), ("endpoint-under-two-qhins", "b")]


def test_one_address_for_two_entries_of_one_qhin_is_allowed():
    left = node("a", managing="q1", served=(served(),))
    assert codes(node("q1"), left, node("b", managing="q1", served=(served(),))) == []


def test_hcid_under_two_qhins():
    left = node("a", managing="q1", home_community_ids=("h",), served=(served("https://1/"),))
    right = node("b", managing="q2", home_community_ids=("h",), served=(served("https://2/"),))
    found = codes(node("q1"), node("q2"), left, right)
    assert ("hcid-under-two-qhins", "a") in found
    assert ("hcid-under-two-qhins", "b") in found


def test_responds_beyond_qhin():
    qhin = node("q", served=(served("https://q/", responds=T),))
    entry = node("a", managing="q", served=(served("https://a/", responds=BOTH),))
    assert codes(qhin, entry) == [("responds-beyond-qhin", "a")]


def test_transaction_twice_in_chain():
    parent = node("p", served=(served("https://p/"),))
    assert codes(parent, node("a", "p", served=(served("https://a/"),))) == [
        ("transaction-twice-in-chain", "a")
    ]


def test_initiator_without_responder():
    alone = node("a", purposes=T, initiator_only=False)
    assert codes(alone) == [("initiator-without-responder", "a")]
    assert codes(node("p", served=(served(),)), node("a", "p", purposes=T)) == []


def test_a_chain_of_any_length_is_looked_at_in_bounded_depth():
    nodes = [node("n0", "n1", purposes=BOTH)]
    nodes += [node(f"n{i}", f"n{i + 1}") for i in range(1, 5000)]
    assert codes(*nodes) == [("missing-parent", "n4999")]


def test_a_node_has_one_served_row_for_each_transaction():
    endpoint = Endpoint(id="e", address="https://a/", transactions=frozenset({"ITI-38", "ITI-39"}))
    off = Endpoint(id="f", address="http://a/", transactions=frozenset({"ITI-55"}))
    found = node_of(Organization(id="a", name="A", endpoints=(endpoint, off)))
    assert [s.transaction for s in found.served] == ["ITI-38", "ITI-39"]
