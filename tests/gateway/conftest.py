"""Identities for the gateway's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tls_network import NodeIdentity, identity


@pytest.fixture(scope="session")
def identities(tmp_path_factory) -> Callable[..., NodeIdentity]:
    folder: Path = tmp_path_factory.mktemp("identities")

    def make(name: str, **options) -> NodeIdentity:
        return identity(name, folder, **options)

    return make


@pytest.fixture(scope="session")
def us(identities) -> NodeIdentity:
    return identities("us.example")


@pytest.fixture(scope="session")
def them(identities) -> NodeIdentity:
    return identities("them.example")
