"""A PKCS#11 token for tests: SoftHSM, from the system's package ``softhsm2``.

Without it the tests of tokens fail in CI (``.ci/run`` installs it); elsewhere they skip loudly.
SoftHSM reads its settings when a process first loads it, so there is one token for each process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PIN_VARIABLE = "TEFCA_NODE_TOKEN_PIN"
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftHsm:
    """A token with its PIN."""

    module: str
    label: str
    pin: str

    def settings(self) -> str:
        """The section of ``node.toml`` that names it."""
        return f'\n[token]\nmodule = "{self.module}"\nlabel = "{self.label}"\n'


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    tool = shutil.which("softhsm2-util")
    module = next((path for path in _MODULES if Path(path).exists()), None)
    if tool is None or module is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the system's package softhsm2: .ci/run installs it")
        pytest.skip("NEEDS SOFTHSM: the system's package softhsm2 is not installed")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(conf)  # for this process and for those it starts
    token = SoftHsm(module=module, label="test token", pin="271828")
    subprocess.run(
        [tool, "--init-token", "--free", "--label", token.label, "--so-pin", "31415926",
         "--pin", token.pin],
        check=True, capture_output=True,
    )  # fmt: skip
    return token
