"""Identities of the probe's tests: ``us`` is a peer's gateway, ``them`` the node that probes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tls_network import NodeIdentity, identity


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("identities")


@pytest.fixture(scope="session")
def us(folder) -> NodeIdentity:
    return identity("us.example", folder, days=60)


@pytest.fixture(scope="session")
def them(folder) -> NodeIdentity:
    return identity("them.example", folder)
