from __future__ import annotations

import os

import pytest

from trust.files import write_file


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_umask_does_not_decide_who_may_read(tmp_path, mode):
    before = os.umask(0o077)
    try:
        write_file(tmp_path / "f", b"data", mode=mode)
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == mode
    assert (tmp_path / "f").read_bytes() == b"data"
