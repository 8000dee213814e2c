"""``fhir client``: own apps and systems are registered, listed, changed, removed, and logged."""

from __future__ import annotations

import pytest
from ended import Cli

from tests.smart_world import client_key, jwks

BACKEND = ("--kind", "backend", "--purpose", "T-TRTMNT", "--scope", "system/*.rs")


def acts(cli: Cli):
    """The acts about clients in the log, oldest first, each once done."""
    found = cli("log", "find", "--kind", "admin", "--json").json
    acts = [e["act"] for e in reversed(found["entries"]) if e["step"] == "done"]
    return [act for act in acts if act.startswith("app-")]


@pytest.mark.usefixtures("joined")
def test_a_client_is_added_listed_changed_and_removed_and_each_is_in_the_log(
    cli: Cli, tmp_path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(jwks(client_key()))
    given = ("fhir", "client", "add", "lab-feed", *BACKEND, "--jwks", file)
    made = cli(*given, "--title", "Laboratory feed", "--json").json
    assert (made["kind"], made["state"], made["scope"]) == ("backend", "active", "system/*.rs")
    assert "app-exists" in cli(*given).err
    again = cli(*given, "--replace", "--json").json
    assert again["client_id"] == made["client_id"]
    (listed,) = cli("fhir", "client", "list", "--json").json
    assert listed == again
    assert made["client_id"] in cli("fhir", "client", "list").out
    assert cli("fhir", "client", "remove", "lab-feed").code == 0
    assert "app-unknown" in cli("fhir", "client", "remove", "lab-feed").err
    assert cli("fhir", "client", "list", "--json").json[0]["state"] == "cancelled"
    assert acts(cli) == ["app-add", "app-change", "app-remove"]


@pytest.mark.usefixtures("joined")
def test_what_is_no_client_is_refused_and_nothing_is_kept(cli: Cli) -> None:
    ended = cli("fhir", "client", "add", "lab-feed", *BACKEND, "--public")
    assert ended.code != 0
    assert "app-invalid" in ended.err
    assert cli("fhir", "client", "list", "--json").json == []
    assert acts(cli) == []


@pytest.mark.usefixtures("joined")
def test_an_app_is_launched_by_hand_as_an_ehr_does(cli: Cli) -> None:
    app = (
        "--kind",
        "app",
        "--public",
        "--purpose",
        "T-TRTMNT",
        "--redirect",
        "https://a.example/b",
    )
    scope = ("--scope", "launch patient/*.rs")
    assert cli("fhir", "client", "add", "chart", *app, *scope, "--launch", "ehr").code == 0
    made = cli("fhir", "launch", "chart", "--patient", "ann", "--json").json
    assert made["iss"].endswith("/fhir")
    assert len(made["launch"]) == 43
    assert "app-invalid" in cli("fhir", "launch", "chart", "--user", "nobody").err
    assert "app-unknown" in cli("fhir", "launch", "nothing").err
    assert acts(cli) == ["app-add", "app-launch"]


@pytest.mark.usefixtures("joined")
def test_a_system_that_reads_the_log_has_a_role_and_a_scope_for_audit_events(
    cli: Cli, tmp_path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(jwks(client_key()))
    given = (
        "fhir", "client", "add", "siem", "--kind", "backend", "--purpose", "T-TRTMNT",
        "--scope", "system/AuditEvent.rs", "--jwks", file,
    )  # fmt: skip
    assert "app-invalid" in cli(*given, "--role", "king").err
    made = cli(*given, "--role", "auditor", "--json").json
    assert made["roles"] == ["auditor"]
    assert cli("fhir", "client", "list", "--json").json == [made]
