"""What is wrong with entries seen together: hierarchy, uniqueness, reciprocity. Pure.

Rules of facts/tefca 6 and 7 (Directory SOP 4.1 (4)-(11)). The whole directory passes through once
as :class:`Node` values, a few hundred bytes each, and is held while the rules run.

* *Ancestors* are the entries reached by ``part_of``; an ancestor that lists no purposes at all
  restricts nobody (it has a finding of its own).
* *Managing organisation* is the stated one, else the entry's topmost ancestor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from directory.finding import Finding, finding
from directory.model import Organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One transaction that an entry answers."""

    transaction: str
    address: str
    responds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the rules need of one entry."""

    id: str
    part_of: str | None = None
    managing: str | None = None
    purposes: frozenset[str] = frozenset()
    home_community_ids: tuple[str, ...] = ()
    tefca_ids: tuple[str, ...] = ()
    npis: tuple[str, ...] = ()
    initiator_only: bool = False
    active: bool = True
    served: tuple[Served, ...] = ()


def node_of(organization: Organization) -> Node:
    """The node of an organisation with all its endpoints."""
    served = []
    for transaction in sorted({t for e in organization.endpoints for t in e.transactions}):
        endpoint = organization.endpoint_for(transaction)
        if endpoint is not None and endpoint.address:
            served.append(
                Served(
                    transaction=transaction, address=endpoint.address, responds=endpoint.responds
                )
            )
    return Node(
        id=organization.id,
        part_of=organization.part_of,
        managing=organization.managing_organization,
        purposes=organization.initiates,
        home_community_ids=organization.home_community_ids,
        tefca_ids=organization.tefca_ids,
        npis=organization.npis,
        initiator_only=organization.initiator_only,
        active=organization.active,
        served=tuple(served),
    )


def check_network(nodes: Iterable[Node]) -> Iterator[Finding]:
    """The findings of the directory as a whole."""
    known = {node.id: node for node in nodes}
    chains = _Chains(known)
    for node in known.values():
        yield from _check_links(node, known, chains)
        yield from _check_hierarchy(node, known, chains)
    yield from _check_shared(known.values())
    yield from _check_uniqueness(known.values(), chains)


_MAX_DEPTH = 32
"""Ancestors that are looked at; real chains have fewer than ten."""


class _Chains:
    """Ancestors of every entry, computed once each; a circle or the depth ends a chain."""

    def __init__(self, known: Mapping[str, Node]) -> None:
        self._known = known
        self._chains: dict[str, tuple[str, ...]] = {}
        self.circular: set[str] = set()

    def ancestors(self, identity: str) -> tuple[str, ...]:
        """Ids of the ancestors, nearest first, without unknown ones."""
        path: list[str] = []
        seen: set[str] = set()
        current: str | None = identity
        while current is not None and current in self._known and current not in self._chains:
            if current in seen:
                circle = path[path.index(current) :]
                self.circular.update(circle)
                self._chains.update(dict.fromkeys(circle, ()))
                break
            seen.add(current)
            path.append(current)
            current = self._known[current].part_of
        for step in reversed(path):
            if step in self._chains:
                continue
            parent = self._known[step].part_of
            known = parent is not None and parent in self._known
            self._chains[step] = (
                (parent, *self._chains[parent])[:_MAX_DEPTH] if known and parent else ()
            )
        return self._chains.get(identity, ())

    def managing(self, node: Node) -> str:
        """Id of the stated managing organisation, else of the topmost ancestor, else its own."""
        return node.managing or (self.ancestors(node.id) or (node.id,))[-1]


def _check_links(node: Node, known: Mapping[str, Node], chains: _Chains) -> Iterator[Finding]:
    if node.part_of is not None and node.part_of not in known:
        yield finding("missing-parent", node.id, value=node.part_of)
    if node.managing is not None and node.managing not in known:
        yield finding("missing-managing-organization", node.id, value=node.managing)
    chains.ancestors(node.id)
    if node.id in chains.circular:
        yield finding("part-of-cycle", node.id)


def _check_hierarchy(node: Node, known: Mapping[str, Node], chains: _Chains) -> Iterator[Finding]:
    ancestors = [known[identity] for identity in chains.ancestors(node.id)]
    beyond: set[str] = set()
    for ancestor in ancestors:
        if ancestor.purposes:
            beyond |= node.purposes - ancestor.purposes
    if beyond:
        yield finding("purposes-beyond-ancestors", node.id, value=" ".join(sorted(beyond)))
    above = {served.transaction for ancestor in ancestors for served in ancestor.served}
    manager = known.get(chains.managing(node))
    limits = {s.transaction: s.responds for s in manager.served} if manager else {}
    for served in node.served:
        if served.transaction in above:
            yield finding("transaction-twice-in-chain", node.id, transaction=served.transaction)
        limit = limits.get(served.transaction)
        if manager is not node and limit and (extra := served.responds - limit):
            yield finding(
                "responds-beyond-qhin",
                node.id,
                transaction=served.transaction,
                value=" ".join(sorted(extra)),
            )
    alone = not node.served and not above
    if node.active and node.purposes and alone and not node.initiator_only:
        yield finding("initiator-without-responder", node.id)


def _check_shared(nodes: Iterable[Node]) -> Iterator[Finding]:
    holders: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node in nodes:
        for code, values in (
            ("duplicate-hcid", node.home_community_ids),
            ("tefcaid-reuse", node.tefca_ids),
            ("npi-shared", node.npis),
        ):
            for value in values:
                holders[code, value].append(node.id)
    for (code, value), identities in holders.items():
        if len(identities) > 1:
            for identity in identities:
                yield finding(code, identity, value=value, count=len(identities))


def _check_uniqueness(nodes: Iterable[Node], chains: _Chains) -> Iterator[Finding]:
    """One responding endpoint, and one responding HCID, stands under one QHIN only."""
    endpoints: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    homes: dict[str, dict[str, str]] = defaultdict(dict)
    for node in nodes:
        manager = chains.managing(node)
        for served in node.served:
            endpoints[served.transaction, served.address][node.id] = manager
        for hcid in node.home_community_ids if node.served else ():
            homes[hcid][node.id] = manager
    for (transaction, _), holders in endpoints.items():
        if (count := len(set(holders.values()))) > 1:
            for identity in holders:
                yield finding(
                    "endpoint-under-two-qhins", identity, transaction=transaction, count=count
                )
    for hcid, holders in homes.items():
        if (count := len(set(holders.values()))) > 1:
            for identity in holders:
                yield finding("hcid-under-two-qhins", identity, value=hcid, count=count)
