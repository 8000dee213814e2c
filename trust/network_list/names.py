"""Names and numbers of the network list: roles, target paths, limits."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

ROOT = "root"
TARGETS = "targets"
SNAPSHOT = "snapshot"
TIMESTAMP = "timestamp"
DELEGATED = "delegated"
"""What every QHIN's role is called in the tables of numbers."""
TOP_LEVEL = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)

POLICY = "policy.json"
DENY = "deny.json"
ANCHOR = re.compile(r"anchors/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.pem", re.ASCII)

QHIN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
ENTRY_ID = r"[A-Za-z0-9.-]{1,64}"
"""An entry's id is a FHIR id (R4 datatypes, id)."""

SIGNED_AT = "x-tefca-node-signed-at"
"""A field of the timestamp role beside TUF's own: the lower bound of true time (facts pki A10)."""


def role_of(qhin: str) -> str:
    """The role that signs a QHIN's entries."""
    return f"q-{qhin}"


def path_of(qhin: str, file: str) -> str:
    """The target path of one of a QHIN's files."""
    return f"q/{qhin}/{file}"


def index_of(qhin: str) -> str:
    """The target that holds all entries of a QHIN."""
    return path_of(qhin, "index.json")


@lru_cache
def numbers() -> dict[str, dict[str, Any]]:
    """``trust/data/network_list.toml``."""
    text = resources.files("trust").joinpath("data/network_list.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def limit(name: str) -> int:
    """One of the limits: bytes, counts or seconds, as its name says."""
    return int(numbers()["limits"][name])
