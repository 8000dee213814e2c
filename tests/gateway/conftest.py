"""Identities for the gateway's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tls_network import NodeIdentity, identity


@pytest.fixture(scope="session")
def identity_folder(tmp_path_factory) -> Path:
    """Where ``<name>.pem`` holds each identity's certificate and key."""
    return tmp_path_factory.mktemp("identities")


@pytest.fixture(scope="session")
def identities(identity_folder) -> Callable[..., NodeIdentity]:
    def make(name: str, **options) -> NodeIdentity:
        return identity(name, identity_folder, **options)

    return make


@pytest.fixture(scope="session")
def us(identities) -> NodeIdentity:
    return identities("us.example")


@pytest.fixture(scope="session")
def them(identities) -> NodeIdentity:
    return identities("them.example")
