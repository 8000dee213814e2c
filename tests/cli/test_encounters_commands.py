"""``tefca-node encounters``: files and folders, what is said, what is in the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from ended import Cli

A01 = (
    "MSH|^~\\&|EHR|LAKE|N|L|20261127100000||ADT^A01|C-1|P|2.5\r"
    "EVN|A01|20261127100000\rPID|1||MRN-1^^^&2.999.71.1&ISO||Canaryson^Jane||19610302|F\r"
    "PV1|1|I|ICU||||1234567893^Ito^^^^^^^&&^^^^NPI" + "|" * 12 + "V-1\r"
)
CSV = (
    "patient_authority,patient_id,visit,class,began\n"
    "2.999.71.1,MRN-2,V-2,outpatient,2026-11-20\n2.999.71.1,MRN-3,,outpatient,2026-11-20\n"
)


@pytest.mark.usefixtures("joined")
def test_a_folder_of_messages_and_a_csv_file_are_imported(cli: Cli, tmp_path: Path) -> None:
    assert cli("encounters", "status", "--json").json["encounters"] == 0
    folder = tmp_path / "feed"
    folder.mkdir()
    two = A01 + A01.replace("A01", "A08").replace("C-1", "C-2")
    (folder / "1.hl7").write_text(two)
    (folder / "2.txt").write_text(A01.replace("A01", "A28"))
    (folder / "3.csv").write_text(CSV)
    (folder / "4.hl7").write_bytes(b"\x00\xff nothing")
    ended = cli("encounters", "import", str(folder), "--json")
    assert ended.code == 1
    assert (ended.json["messages"], ended.json["used"], ended.json["added"]) == (6, 3, 2)
    assert ended.json["codes"] == {"adt-no-encounter": 1, "csv-line": 1, "hl7-unreadable": 1}
    places = {(each["file"], each["place"]) for each in ended.json["not_used"]}
    assert places == {("2.txt", 1), ("3.csv", 3), ("4.hl7", 1)}
    assert "Canaryson" not in ended.out + ended.err
    assert "MRN-" not in ended.out + ended.err
    words = cli("encounters", "import", str(folder / "1.hl7"))
    assert words.code == 0
    assert "Of 2 messages in 1 file used: 2 (0 new encounters, 2 changed)." in words.out
    assert "2 encounters known." in cli("encounters", "status").out
    assert "Encounters were imported." in cli("log", "find", "--kind", "admin").out
    assert "2 encounters deleted." in cli("encounters", "purge", "--all").out
    assert cli("encounters", "status", "--json").json == {
        "encounters": 0, "newest": None, "required": False,
    }  # fmt: skip


@pytest.mark.usefixtures("joined")
def test_nothing_to_read_is_said(cli: Cli, tmp_path: Path) -> None:
    ended = cli("encounters", "import", str(tmp_path / "absent.hl7"))
    assert ended.code == 3
    assert "encounters-unreadable" in ended.err


@pytest.mark.usefixtures("joined")
def test_a_user_is_told_who_they_are_in_encounters(cli: Cli) -> None:
    cli("user", "add", "mia", "--name", "Mia Ito", "--role", "clinician")
    ended = cli("user", "encounters", "mia", "--practitioner-id", "1234567893@NPI",
                "--department", "ICU")  # fmt: skip
    assert "mia is 1234567893@NPI, department ICU." in ended.out
    (mia,) = [each for each in cli("user", "list", "--json").json if each["login"] == "mia"]
    assert (mia["practitioner_ids"], mia["departments"]) == (["1234567893@NPI"], ["ICU"])
    assert "mia is in no encounter." in cli("user", "encounters", "mia").out
    assert cli("user", "encounters", "mia", "--department", "two words").code == 3
