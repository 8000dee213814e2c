"""The key that signs assertions is in a token, from its request to an exchange that it opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from node_network import PERSON, Network, now, serving
from sample_world import ORIGINALS

from node.identity import Role, identity_files, version_files
from node.setup import profile_of
from tests.softhsm import PIN_VARIABLE
from trust.ca import issue
from trust.certificates import Bundle
from trust.csr import load_csr

pytestmark = pytest.mark.e2e


def test_an_exchange_whose_assertions_a_token_signs(softhsm, tmp_path: Path, monkeypatch):
    monkeypatch.setenv(PIN_VARIABLE, softhsm.pin)
    network = Network(tmp_path)
    asker = network.add("asker", extra=softhsm.settings())
    clinic = network.add("clinic", extra="[trust]\nallow_unpinned_peers = false\n")

    asked = asker.cli("cert", "request", "saml", "--in-token")
    assert asked.returncode == 0, asked.stderr
    files = version_files(asker.home, Role.SAML, 2)
    reference = files.key.read_bytes()
    assert reference == b"pkcs11:token=test%20token;object=tefca-node-saml-v0002;type=private\n"
    assert files.key.stat().st_mode & 0o777 == 0o600
    leaf = issue(network.authority, load_csr(files.request), profile=profile_of(Role.SAML),
                 now=now())  # fmt: skip
    file = tmp_path / "saml.pem"
    file.write_bytes(Bundle(leaf=leaf).pem())
    taken = asker.cli("cert", "import", "saml", file, "--switch")
    assert taken.returncode == 0, taken.stderr
    assert identity_files(asker.home, Role.SAML).key.read_bytes() == reference

    network.join()
    network.load("clinic", ORIGINALS)
    question = ("query", "patient", *PERSON, "--purpose", "T-TRTMNT", "--peer", clinic.hcid)
    with serving(clinic):
        done = asker.cli(*question, "--json")
    assert done.returncode == 0, done.stderr
    (entry,) = clinic.ledger()
    assert (entry.fields["outcome"], entry.fields["bind"]) == ("ok", "pinned")

    monkeypatch.delenv(PIN_VARIABLE)
    without = asker.cli(*question)
    assert (without.returncode, "token-pin-missing" in without.stderr) == (3, True)
    refused = asker.cli("cert", "request", "client", "--in-token")
    assert refused.returncode == 2
