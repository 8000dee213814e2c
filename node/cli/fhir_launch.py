"""``tefca-node fhir launch``: a launch of an app by hand, in place of an EHR."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

import typer

from node.cli.home import opened
from node.errors import OurFault, SettingsError
from node.gateway.oauth.approvals import Approvals
from node.gateway.oauth.launching import LIFE, Launches, read_launch
from node.gateway.oauth.local_client import LOCAL
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.store import ClientState, OauthStore
from node.ledger.private import load_key
from node.ledger.trust_change import TrustChange
from node.users.store import Users

_BYTES = 32


def launched(context: typer.Context, name: str, given: Mapping[str, str]) -> dict[str, object]:
    """Make a launch of the app with a name; what it is to be opened with.

    Raises:
        OurFault: ``app-unknown``.
        SettingsError: ``app-invalid`` for what cannot be opened.
    """
    home, settings, wiring = opened(context)
    now = datetime.now(UTC)
    with wiring.stores(home, settings) as stores:
        store = OauthStore(stores.engine)
        client = store.client(LOCAL, name)
        if client is None or client.state is not ClientState.ACTIVE:
            raise OurFault("app-unknown", f"There is no client {name}.")
        launches = Launches(
            store=store,
            approvals=Approvals(stores.engine),
            people=Users(stores.engine, load_key(home.path), lambda: now),
        )
        handle = secrets.token_urlsafe(_BYTES)
        about: dict[str, object] = {"client": name, **given}
        with stores.trust.change(TrustChange(act="app-launch", private=about)):
            try:
                asked = read_launch({"client_id": client.client_id, **given})
                launches.add(asked, handle, now=now)
            except Refused as refused:
                raise SettingsError("app-invalid", refused.sentence) from None
    return {"iss": settings.fhir.public_url, "launch": handle, "until": now + LIFE}
