"""NIST's path validation suite, every test of it, against our validation (facts pki A12).

``pkits.toml`` has one row per test: the files, the inputs, NIST's expectation, and where we refuse
on purpose what NIST accepts, the reason. Each row is judged twice: by the standard's algorithm
alone (``trust.path``), and by the whole product (``verify_chain`` with OpenSSL's opinion, then
revocation under a hard policy).
"""

from __future__ import annotations

import tarfile
import tomllib
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from trust.certificates import parse_der
from trust.chain import verify_chain
from trust.crl import AcceptedCrl, parse_crl
from trust.crl_signer import find_signer
from trust.crl_store import CrlShelf
from trust.errors import TrustError
from trust.path import candidate_paths, path_refusal
from trust.policy_graph import PolicyInputs
from trust.revocation import judge_revocation
from trust.revocation_policy import RevocationPolicy, RevocationRule
from trust.usages import Usage

TABLE = tomllib.loads((Path(__file__).parent / "pkits.toml").read_text(encoding="utf-8"))
ROWS = TABLE["test"]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
RULE = RevocationRule(policy=RevocationPolicy.REQUIRE_CRL)
POLICY_ARC = "2.16.840.1.101.3.2.1.48"
ANCHOR = "TrustAnchorRootCertificate"

# What NIST's document has in each section.
TESTS_PER_SECTION = {
    "4.1": 6,
    "4.2": 8,
    "4.3": 11,
    "4.4": 21,
    "4.5": 8,
    "4.6": 17,
    "4.7": 5,
    "4.8": 20,
    "4.9": 8,
    "4.10": 14,
    "4.11": 11,
    "4.12": 10,
    "4.13": 38,
    "4.14": 35,
    "4.15": 10,
    "4.16": 2,
}

# PKITS has negative serial numbers on purpose; cryptography reads them with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:.*serial number")


@pytest.fixture(scope="module")
def files(shared_data):
    """Every file of the suite, by its name without folder and ending."""
    with tarfile.open(shared_data / "pki" / "nist_pkits_certs_crls.tar.gz") as archive:
        members = [member for member in archive if member.isfile()]
        return {
            Path(m.name).name.partition("__")[2].rpartition(".")[0]: archive.extractfile(m).read()
            for m in members
        }


@pytest.fixture(scope="module")
def certificate(files):
    """Reads a certificate of the suite, once."""
    read: dict[str, x509.Certificate] = {}

    def certificate(name: str) -> x509.Certificate:
        if name not in read:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                read[name] = parse_der(files[name])
                for extension in read[name].extensions:
                    assert extension.oid
        return read[name]

    return certificate


@pytest.fixture(scope="module")
def crl(files):
    """Reads a CRL of the suite, once; ``None`` when we refuse it whoever signed it."""
    read = {}

    def crl(name: str):
        if name not in read:
            try:
                read[name] = parse_crl(files[name])
            except TrustError:
                read[name] = None
        return read[name]

    return crl


def inputs(row):
    acceptable = row.get("acceptable")
    return PolicyInputs(
        acceptable=None
        if acceptable is None
        else frozenset(f"{POLICY_ARC}.{arc}" for arc in acceptable),
        explicit=row.get("explicit", False),
        inhibit_mapping=row.get("inhibit-mapping", False),
        inhibit_any=row.get("inhibit-any", False),
    )


def revocation_code(row, path, certificate, crl):
    """The reason code of revocation under a hard policy, with the CRLs that the row allows."""
    others = [certificate(name) for name in row.get("others", ())]
    accepted = []
    for each in filter(None, map(crl, row["crls"])):
        try:
            accepted.append(AcceptedCrl(crl=each, signer=find_signer(each, path, others, now=NOW)))
        except TrustError:
            continue
    return judge_revocation(path, CrlShelf.of(accepted), rule=RULE, now=NOW).reason_code


def algorithm_code(row, certificate, crl):
    """What RFC 5280's algorithm says, with none of our floors: ``None`` when it accepts."""
    try:
        leaf, *above = (certificate(name) for name in (row["leaf"], *row["path"], ANCHOR))
    except (TrustError, ValueError):
        return "certificate-unreadable"
    code = "certificate-key-refused"  # no signature of a kind that we know chains
    for path in candidate_paths(leaf, above[:-1], above[-1:]):
        broken = path_refusal(path, now=NOW, policies=inputs(row))
        code = revocation_code(row, path, certificate, crl) if broken is None else "chain-refused"
        if code is None:
            return None
    return code


def product_code(row, certificate, crl):
    """What the product says: ``None`` when it accepts."""
    try:
        leaf, *above = (certificate(name) for name in (row["leaf"], *row["path"], ANCHOR))
    except (TrustError, ValueError):
        return "certificate-unreadable"
    # PKITS has no extended key usages, so the profile is the one that wants none.
    verdict = verify_chain(
        leaf,
        above[:-1],
        above[-1:],
        usage=Usage.SAML_SIGNER,
        now=NOW,
        policies=inputs(row),
    )
    if not verdict.ok:
        return verdict.reason_code
    return revocation_code(row, verdict.certificates, certificate, crl)


def expectation(row, *layers):
    """The codes of which one is expected; an empty set for acceptance, ``None`` for any refusal."""
    if not row["valid"]:
        return None
    deviation = TABLE["deviation"].get(row.get("refused"))
    if deviation is None or deviation["by"] not in layers:
        return frozenset()
    return frozenset(deviation["code"])


def agrees(code, expected):
    if expected is None:
        return code is not None
    return code in expected if expected else code is None


@pytest.mark.shared
@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_the_algorithm_alone(row, certificate, crl):
    code = algorithm_code(row, certificate, crl)
    assert agrees(code, expectation(row, "algorithm")), code


@pytest.mark.shared
@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_the_product(row, certificate, crl):
    code = product_code(row, certificate, crl)
    assert agrees(code, expectation(row, "algorithm", "floor")), code


def test_no_test_of_the_suite_is_missing():
    tests = {row["id"].partition("-")[0] for row in ROWS}
    found = Counter(test.rpartition(".")[0] for test in tests)
    assert dict(found) == TESTS_PER_SECTION
    assert len({row["id"] for row in ROWS}) == len(ROWS)


def test_every_deviation_has_its_reason_and_is_a_refusal():
    for row in ROWS:
        if "refused" in row:
            assert row["valid"]
            assert len(TABLE["deviation"][row["refused"]]["reason"]) > 40
    assert {row.get("refused") for row in ROWS} - {None} == set(TABLE["deviation"])


@pytest.mark.shared
def test_every_leaf_of_the_suite_has_its_row(files):
    leaves = {name for name in files if name.endswith("EE")}
    assert leaves == {row["leaf"] for row in ROWS}
