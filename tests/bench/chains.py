"""What it costs to verify a chain of leaf, intermediate and anchor, beside OpenSSL doing it alone.

OpenSSL is asked through pyOpenSSL about the same certificates. Every certificate is read anew for
each verification, so that neither side gains from what the libraries keep in their objects; the
reading itself is not counted. A remembered verdict is what all further requests of a peer cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from cryptography import x509
from OpenSSL import crypto

from tests.bench.certificates import Network, fresh, make_network
from tests.bench.row import Row, Sizes, alternately, compared
from trust.anchors import Anchor
from trust.binder import Binder
from trust.binding import OrganizationTrust, PresentedKeys
from trust.chain import verify_chain
from trust.keys import KeyKind, generate_key
from trust.path import path_refusal
from trust.second_opinion import openssl_refusal
from trust.usages import Usage

_LEAVES = 60
_MICRO = 1e6
_UNIT = "µs CPU/chain"

Path = tuple[x509.Certificate, ...]


def chain_rows(sizes: Sizes) -> Iterator[Row]:
    """The whole verification, its two halves, and the remembered verdict; OpenSSL is the floor."""
    now = datetime.now(UTC)
    network = make_network(now)
    key = generate_key(KeyKind.P_256)
    leaves = [network.leaf(number, key) for number in range(_LEAVES)]

    def paths() -> list[Path]:
        above = (network.intermediate.certificate, network.root.certificate)
        return [tuple(map(fresh, (leaf, *above))) for leaf in leaves]

    def both(path: Path) -> bool:
        leaf, below, root = path
        return verify_chain(leaf, [below], [root], usage=Usage.TLS_CLIENT, now=now).ok

    ways: dict[str, Callable[[Path], bool]] = {
        "both validations and our floors": both,
        "our path validation": lambda path: path_refusal(path, now=now) is None,
        "OpenSSL's second opinion": lambda path: openssl_refusal(path, now=now) is None,
        "OpenSSL alone": lambda path: _openssl_alone(path, now),
    }
    sides = [lambda way=way: _cost(way, paths()) for way in ways.values()]
    sides.insert(-1, lambda: _remembered(network, leaves, now))
    names = [*list(ways)[:-1], "remembered verdict of the binder"]
    alternately(sides, 1)
    *costs, floors = alternately(sides, sizes.rounds)
    for name, each in zip(names, costs, strict=True):
        yield compared(f"chain of three: {name}", _UNIT, each, floors)


def _cost(way: Callable[[Path], bool], paths: Sequence[Path]) -> float:
    started = time.process_time()
    accepted = sum(map(way, paths))
    taken = time.process_time() - started
    if accepted != len(paths):
        raise RuntimeError(f"{accepted} of {len(paths)} chains were accepted")
    return taken / len(paths) * _MICRO


def _openssl_alone(path: Path, now: datetime) -> bool:
    leaf, below, root = (crypto.X509.from_cryptography(certificate) for certificate in path)
    store = crypto.X509Store()
    store.add_cert(root)
    store.set_time(now)
    crypto.X509StoreContext(store, leaf, [below]).verify_certificate()
    return True


def _remembered(network: Network, leaves: Sequence[x509.Certificate], now: datetime) -> float:
    """The second time that the same peers come, on the connections that they have open."""
    anchor = Anchor(certificate=network.root.certificate, label="bench", network="bench", added=now)
    binder = Binder([anchor], allow_unpinned=True)
    asked = [
        (
            PresentedKeys(tls_leaf=leaf, intermediates=(network.intermediate.certificate,)),
            OrganizationTrust(
                organization_id=f"2.999.{number}",
                host_names=frozenset({f"gateway{number}.example"}),
            ),
        )
        for number, leaf in enumerate(leaves)
    ]

    def all_bound() -> int:
        return sum(binder.bind(shown, trust, now=now).ok for shown, trust in asked)

    all_bound()
    started = time.process_time()
    bound = all_bound()
    taken = time.process_time() - started
    if bound != len(asked):
        raise RuntimeError(f"{bound} of {len(asked)} peers were bound")
    return taken / len(asked) * _MICRO
