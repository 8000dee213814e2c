"""``tefca-node deliver``: refusals before anything is sent, and a peer that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from ended import Cli

CDA = Path(__file__).resolve().parents[2] / "examples" / "records" / "summary.xml"
HOME = "urn:oid:2.999.404"
WHO = ("--family", "Canary-Quill", "--given", "Dora", "--birth-date", "1981-03-04")
ID = ("--id", "Canary-9^^^&2.999.5&ISO")


@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("note.txt", "--to", HOME), 3, "delivery-person"),
        (("note.txt", "--to", HOME, *WHO, *ID), 3, "delivery-type-missing"),
        (("note.txt", "--to", HOME, *WHO, "--type", "11506-3"), 3, "delivery-person"),
        (("note.bin", "--to", HOME, *WHO, *ID, "--type", "11506-3"), 3, "delivery-kind"),
        (("note.txt", "--to", f"{HOME}=", *WHO, *ID), 3, "delivery-target"),
        ((str(CDA), "--to", HOME, *WHO, *ID), 3, "delivery-person"),
        (("missing.txt", "--to", HOME, *WHO, *ID), 3, "file-unusable"),
        (("note.txt", *WHO), 2, "--to"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_code(
    cli: Cli, tmp_path: Path, monkeypatch, arguments, code, said
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("note.txt", "note.bin"):
        (tmp_path / name).write_text("Seen today.")
    ended = cli("deliver", "--purpose", "T-TRTMNT", *arguments)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert "Canary" not in ended.err


@pytest.mark.usefixtures("joined")
def test_a_community_that_nobody_knows_is_not_reached_and_in_the_log(cli: Cli) -> None:
    ended = cli("deliver", str(CDA), "--to", HOME, "--purpose", "T-TRTMNT", "--json")
    assert ended.code == 1, ended.err
    (leg,) = ended.json["legs"]
    assert (leg["transaction"], leg["hcid"], leg["outcome"]) == ("ITI-80", HOME, "failed")
    assert leg["reason"] == "no-route"
    assert [error["code"] for error in leg["errors"]] == ["XDSUnavailableCommunity"]
    found = cli("log", "find", "--transaction", "ITI-80", "--json").json["entries"]
    assert len(found) == 1
