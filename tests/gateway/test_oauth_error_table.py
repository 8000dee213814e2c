"""The table of OAuth errors: its codes exist, and every refusal has a row or is a chain's."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from node.gateway.oauth.refusal import Endpoint, wire_error
from node.policy.reasons import reasons
from trust.errors import error_table

ROOT = Path(__file__).resolve().parents[2]
OAUTH = ROOT / "node" / "gateway" / "oauth"
TABLE = tomllib.loads((OAUTH / "data" / "oauth_errors.toml").read_text("utf-8"))
KNOWN = set(error_table("node")) | set(error_table("trust")) | set(reasons())
# RFC 6749 5.2, RFC 7591 3.2.2, the UDAP guide, and two that RFC 6749 4.1.2.1 names
STANDARD = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_software_statement",
    "unapproved_software_statement",
    "invalid_client_metadata",
    "server_error",
    "temporarily_unavailable",
}


# RFC 6749 4.1.2.1, and two of OpenID Connect
AUTHORIZATION = {
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "server_error",
    "temporarily_unavailable",
    "interaction_required",
    "request_not_supported",
}


def test_every_row_is_of_a_code_that_exists_and_names_standard_errors():
    for code, row in TABLE["codes"].items():
        assert code in KNOWN, code
        assert set(row) - {"authorization"} == {"registration", "token"}, code
        both = {row[each] for each in ("registration", "token") if row[each]}
        assert both <= STANDARD, code
        assert row.get("authorization", "invalid_request") in AUTHORIZATION, code


def test_every_refusal_in_the_code_has_a_row():
    raised = set()
    for path in OAUTH.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Refused"), args=[ast.Constant(value=code), *_]):
                    raised.add(code)
    assert len(raised) > 20
    assert raised <= set(TABLE["codes"])


def test_every_code_of_a_token_has_a_row():
    codes = {c for c in error_table("trust") if c.startswith(("jwt-", "b2b-", "ias-", "client-me"))}
    assert codes <= set(TABLE["codes"])


def test_a_chain_that_is_refused_is_unapproved_or_an_invalid_client():
    for code in ("chain-incomplete", "certificate-revoked", "crl-missing", "key-denied"):
        assert code in KNOWN
        assert wire_error(code, Endpoint.REGISTRATION).error == "unapproved_software_statement"
        found = wire_error(code, Endpoint.TOKEN)
        assert (found.status, found.error) == (401, "invalid_client")
