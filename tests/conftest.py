"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# machines are shared: how long an example takes says nothing about the code
settings.register_profile("node", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("node")

pytest_plugins = [
    "tests.postgres",
    "tests.longest_first",
    "tests.few_collections",
    "tests.ready_schema",
    "tests.softhsm",
    "tests.pebble",
    "tests.rsyslog",
    "tests.warm_start",
]

# a test starts many programs: none of them should compile the code again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The project's shared test data; skips loudly where it is absent, fails in CI."""
    if not _SHARED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the shared test data beside the checkout: ../shared/data")
        pytest.skip("NEEDS DATA: ../shared/data is not beside this checkout")
    return _SHARED
