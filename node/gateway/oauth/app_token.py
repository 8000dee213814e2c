"""Tokens for apps that a person approved: by a code, and by a refresh token (fhir-and-udap 2.3).

A code counts for a minute and once. Each refresh token is exchanged for the next one; the approval
ends when one is brought twice, when the person or the app is no more allowed, or when its time is
over: at the end of the day for online_access, after 90 days for offline_access.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from node.gateway.oauth.approvals import Approval, Kind, Ticket
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.authorize_request import AppRequest
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer, may_open_apps
from node.gateway.oauth.store import Client
from node.gateway.oauth.token import Granted, digest_of, issue, new_secret
from node.policy.scopes import app_offer, for_ours, negotiate, parse_scope, parse_scopes
from node.users.model import User

CODE_LIFE: Final = timedelta(minutes=1)
ONLINE: Final = timedelta(hours=12)
"""As long as a sign-in lasts at most."""

OFFLINE: Final = timedelta(days=90)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


def approve(
    server: AuthorizationServer, asked: AppRequest, user: User, attempt: Attempt
) -> tuple[str, Approval]:
    """Write a person's approval; the code for the app, which is to be entered before it goes.

    Raises:
        Refused: ``oauth-too-many``.
    """
    now, code = server.clock.now(), new_secret(server)
    scope = " ".join(granted_to(asked, user))
    lives = OFFLINE if "offline_access" in asked.scope else ONLINE
    approval = Approval(
        id=server.clock.new_id(),
        client_id=asked.client_id,
        login=user.login,
        scope=scope,
        patient=asked.patient,
        encounter=asked.encounter,
        launched=asked.launched,
        nonce=asked.nonce,
        entry_id=attempt.leg_id,
        began=now,
        until=now + lives,
    )
    ticket = Ticket(
        digest=digest_of(code),
        kind=Kind.CODE,
        approval=approval.id,
        redirect_uri=asked.redirect_uri if asked.named else None,
        challenge=asked.challenge,
        until=now + CODE_LIFE,
    )
    if not server.approvals.approve(approval, ticket, now=now):
        raise Refused("oauth-too-many", "The person has approved too many apps.")
    attempt.asked["granted"] = scope
    return code, approval


def granted_to(asked: AppRequest, user: User) -> tuple[str, ...]:
    """The scopes of a request that this person's approval gives."""
    if user.practitioner is None:
        return tuple(each for each in asked.scope if each != "fhirUser")
    return asked.scope


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One exchange of a proved client."""

    server: AuthorizationServer
    client: Client
    form: Mapping[str, str]
    attempt: Attempt
    now: datetime


def exchange_code(
    server: AuthorizationServer, client: Client, form: Mapping[str, str], attempt: Attempt
) -> Granted:
    """A token for a code.

    Raises:
        Refused: ``oauth-parameter-missing``, ``ticket-*``, ``person-not-allowed``.
    """
    for name in ("code", "code_verifier"):
        if name not in form:
            raise Refused("oauth-parameter-missing", f"The request lacks {name}.")
    now = server.clock.now()
    case = _Case(server=server, client=client, form=form, attempt=attempt, now=now)
    ticket, approval = _taken(case, form["code"], Kind.CODE)
    if ticket.redirect_uri != form.get("redirect_uri") or not _verified(form, ticket):
        # the code is used up: who guesses verifiers has one guess
        server.approvals.end(approval.id)
        raise Refused("ticket-not-fitting", "The redirect_uri or code_verifier is another one.")
    return _given(case, approval, approval.scope)


def exchange_refresh(
    server: AuthorizationServer, client: Client, form: Mapping[str, str], attempt: Attempt
) -> Granted:
    """A token for a refresh token, and the next refresh token.

    Raises:
        Refused: as ``exchange_code``; ``scope-none`` for nothing that was approved.
    """
    if "refresh_token" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks refresh_token.")
    now = server.clock.now()
    case = _Case(server=server, client=client, form=form, attempt=attempt, now=now)
    _, approval = _taken(case, form["refresh_token"], Kind.REFRESH)
    scope = _narrowed(approval.scope, form["scope"]) if "scope" in form else approval.scope
    return _given(case, approval, scope)


def launch_context(approval: Approval) -> dict[str, Any]:
    """What a token response and an introspection say of what the app was opened for."""
    found: dict[str, Any] = {}
    if approval.patient is not None:
        found |= {"patient": approval.patient, "need_patient_banner": not approval.launched}
    if approval.encounter is not None:
        found["encounter"] = approval.encounter
    return found


def _taken(case: _Case, value: str, kind: Kind) -> tuple[Ticket, Approval]:
    approvals, attempt = case.server.approvals, case.attempt
    ticket = approvals.ticket(digest_of(value), now=case.now)
    approval = approvals.approval(ticket.approval, now=case.now) if ticket else None
    if ticket is None or approval is None or ticket.kind is not kind:
        raise Refused("ticket-unknown", "The code or refresh token is unknown or too old.")
    if approval.client_id != case.client.client_id:
        raise Refused("ticket-unknown", "The code or refresh token is another client's.")
    attempt.who |= {"user_id": approval.login}
    attempt.asked |= {"approval": approval.entry_id}
    if not approvals.use(ticket, now=case.now):
        raise Refused("ticket-used", "The code or refresh token was used before; all ends.")
    return ticket, approval


def _given(case: _Case, approval: Approval, scope: str) -> Granted:
    server = case.server
    user = server.people.find(approval.login)
    if user is None or not may_open_apps(user):
        server.approvals.end(approval.id)
        raise Refused("person-not-allowed", "The person who approved may not use apps any more.")
    case.attempt.who |= {"subject_id": user.name}
    made = issue(
        server,
        case.client,
        scope=scope,
        organization_id=case.client.organization_id,
        context=b"",
        attempt=case.attempt,
        now=case.now,
        approval=approval.id,
    )
    body = made.body | launch_context(approval)
    if {"offline_access", "online_access"} & set(approval.scope.split()):
        body["refresh_token"] = _following(server, approval)
    if "openid" in scope.split():
        id_token = server.id_tokens.sign(approval, user, now=case.now)
        if id_token is not None:
            body["id_token"] = id_token
    return replace(made, body=body)


def _following(server: AuthorizationServer, approval: Approval) -> str:
    value = new_secret(server)
    server.approvals.add_ticket(
        Ticket(
            digest=digest_of(value),
            kind=Kind.REFRESH,
            approval=approval.id,
            until=approval.until,
        )
    )
    return value


def _narrowed(approved: str, asked: str) -> str:
    """The scopes asked for anew, as far as they were approved."""
    wanted, had = asked.split(), approved.split()
    # what was approved is the limit, whoever the app is of
    found = negotiate(wanted, for_ours(app_offer()), within=parse_scopes(had))
    others = [each for each in had if parse_scope(each) is None and each in wanted]
    if found.refused_wildcard is not None or not found.granted:
        raise Refused("scope-none", "None of the scopes was approved.")
    return " ".join([*others, *map(str, found.granted)])


def _verified(form: Mapping[str, str], ticket: Ticket) -> bool:
    verifier = form["code_verifier"]
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest())
    return hmac.compare_digest(made.rstrip(b"="), (ticket.challenge or "").encode("ascii"))
