"""Launches: what an EHR says before it opens an app, under a handle that the app brings back.

A launch counts for five minutes, once, and for the app that it was made for. Nothing of it is in
the handle, so no patient is in an address (fhir-and-udap 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from node.gateway.oauth.approvals import Approvals, Launched
from node.gateway.oauth.local_client import Kind, Launch, is_local, local_client
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import People, may_open_apps
from node.gateway.oauth.store import Client, ClientState, OauthStore
from node.gateway.oauth.token import digest_of
from node.users.model import FHIR_ID

LIFE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchAsked:
    """What is to be opened: an app, on a patient's record, for a user where that is known."""

    client_id: str
    patient: str | None = None
    encounter: str | None = None
    login: str | None = None


def read_launch(form: Mapping[str, str]) -> LaunchAsked:
    """The launch that a form asks for.

    Raises:
        Refused: ``oauth-parameter-missing``, ``launch-field``.
    """
    if "client_id" not in form:
        raise Refused("oauth-parameter-missing", "The request lacks client_id, the app's.")
    for name in ("patient", "encounter"):
        if name in form and not FHIR_ID.fullmatch(form[name]):
            raise Refused("launch-field", f"The {name} is no id of a resource.")
    if "encounter" in form and "patient" not in form:
        raise Refused("launch-field", "An encounter is a patient's, and there is none.")
    return LaunchAsked(
        client_id=form["client_id"],
        patient=form.get("patient"),
        encounter=form.get("encounter"),
        login=form.get("user"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Launches:
    """Where launches are kept, and what is looked up for them."""

    store: OauthStore
    approvals: Approvals
    people: People

    def add(self, asked: LaunchAsked, handle: str, *, now: datetime) -> Client:
        """Keep a launch under its handle; the app that it opens. It uses the database.

        Raises:
            Refused: ``launch-field``, ``client-kind``, ``person-not-allowed``, ``oauth-too-many``.
        """
        client = self.store.client_by_id(asked.client_id)
        if client is None or not is_local(client) or client.state is not ClientState.ACTIVE:
            raise Refused("launch-field", "No app of this node has this client_id.")
        local = local_client(client)
        if local.kind is not Kind.APP or Launch.EHR not in local.launches:
            raise Refused("client-kind", "The client is no app that an EHR opens.")
        if asked.login is not None and not may_open_apps(self.people.find(asked.login)):
            raise Refused("person-not-allowed", "There is no such user who may open apps.")
        launched = Launched(
            client_id=client.client_id,
            login=asked.login,
            patient=asked.patient,
            encounter=asked.encounter,
            until=now + LIFE,
        )
        if not self.approvals.add_launch(digest_of(handle), launched, now=now):
            raise Refused("oauth-too-many", "Too many apps are about to be opened.")
        return client
