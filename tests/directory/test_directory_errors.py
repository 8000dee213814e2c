import re
from pathlib import Path

import directory
from directory.finding import finding_table
from trust.errors import error_table

SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for path in Path(directory.__file__).parent.glob("*.py")
)


def test_every_error_code_is_listed_and_every_listed_one_is_used():
    used = set(re.findall(r'DirectoryError\(\s*"([a-z-]+)"', SOURCE))
    assert used == set(error_table("directory"))


def test_every_finding_is_made_somewhere():
    unused = {code for code in finding_table() if f'"{code}"' not in SOURCE}
    assert unused == set()


def test_no_purpose_code_or_oid_is_spelled_in_code():
    assert re.findall(r'"T-[A-Z-]+"|\b\d+(?:\.\d+){4,}\b', SOURCE) == []
