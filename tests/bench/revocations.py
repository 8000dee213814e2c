"""What a large CRL costs: once when it is read, and for each certificate that is judged by it.

The rival is the look-up of ``cryptography`` on the same list, for the leaf alone; judging a chain
also asks the root's list about the intermediate, who signed both, and how old they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.bench.certificates import make_network
from tests.bench.row import Row, Sizes, alternately, compared
from trust.ca import CertificateAuthority
from trust.crl import AcceptedCrl, parse_crl
from trust.crl_store import CrlShelf
from trust.keys import KeyKind, generate_key
from trust.revocation import judge_revocation
from trust.revocation_policy import RevocationRule

_LEAVES = 40
_RIVAL_LEAVES = 4
_FIRST_SERIAL = 1 << 90
_MICRO, _MILLI = 1e6, 1e3


def revocation_rows(sizes: Sizes) -> Iterator[Row]:
    """Reading the list, and judging certificates that are not on it, the usual case."""
    now = datetime.now(UTC)
    network = make_network(now)
    authority = network.intermediate
    leaves = [network.leaf(number, generate_key(KeyKind.P_256)) for number in range(_LEAVES)]
    der = _crl(authority, sizes.crl_entries, now)
    entries = f"CRL of {sizes.crl_entries:,} entries"

    def ours() -> float:
        started = time.process_time()
        crl = parse_crl(der)
        taken = time.process_time() - started
        _check(len(crl.revoked), sizes.crl_entries)
        return taken * _MILLI

    def theirs() -> float:
        started = time.process_time()
        serials = {entry.serial_number for entry in x509.load_der_x509_crl(der)}
        taken = time.process_time() - started
        _check(len(serials), sizes.crl_entries)
        return taken * _MILLI

    costs, floors = alternately([ours, theirs], sizes.rounds)
    yield compared(f"{entries}, read once", "ms CPU", costs, floors)
    above = (authority.certificate, network.root.certificate)
    shelf = CrlShelf.of(
        [AcceptedCrl(crl=parse_crl(der), signer=above), _roots_own(network.root, above, now)]
    )

    # a look-up that finds nobody would be quick too
    listed = network.leaf(0, generate_key(KeyKind.P_256), serial=_FIRST_SERIAL)
    _check(judge_revocation((listed, *above), shelf, rule=RevocationRule(), now=now).ok, False)

    def judged() -> float:
        started = time.process_time()
        good = sum(
            judge_revocation((leaf, *above), shelf, rule=RevocationRule(), now=now).ok
            for leaf in leaves
        )
        taken = time.process_time() - started
        _check(good, len(leaves))
        return taken / len(leaves) * _MICRO

    def walked() -> float:
        few = leaves[:_RIVAL_LEAVES]
        source = x509.load_der_x509_crl(der)
        started = time.process_time()
        found = [
            source.get_revoked_certificate_by_serial_number(leaf.serial_number) for leaf in few
        ]
        taken = time.process_time() - started
        _check(found.count(None), len(few))
        return taken / len(few) * _MICRO

    costs, floors = alternately([judged, walked], sizes.rounds)
    yield compared(f"{entries}, one chain judged", "µs CPU/chain", costs, floors)


def _crl(authority: CertificateAuthority, entries: int, now: datetime) -> bytes:
    """All entries at once: the builder would copy its list for each."""
    when = (now - timedelta(days=30)).replace(tzinfo=None, microsecond=0)
    serials = count(_FIRST_SERIAL)
    revoked = [
        x509.RevokedCertificateBuilder().serial_number(next(serials)).revocation_date(when).build()
        for _ in range(entries)
    ]
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=authority.certificate.subject,
        last_update=when,
        next_update=when + timedelta(days=60),
        revoked_certificates=revoked,
    )
    key = authority.key.public_key()
    builder = builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False
    )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _roots_own(
    root: CertificateAuthority, above: tuple[x509.Certificate, ...], now: datetime
) -> AcceptedCrl:
    """The root's list, which says nothing of the intermediate."""
    return AcceptedCrl(crl=parse_crl(_crl(root, 0, now)), signer=above[1:])


def _check(found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{found} instead of {expected}")
