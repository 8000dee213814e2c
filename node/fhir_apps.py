"""Assembles what our own apps need at the FHIR listener: pages for people, keys of clients."""

from __future__ import annotations

from node.console.apps.pages import AppPages
from node.console.apps.patients import Patients
from node.console.apps.site import AppSite
from node.exchange.fhir_ports import FhirRecords
from node.gateway.oauth.answering import Answering
from node.gateway.oauth.client_keys import Fetch
from node.gateway.oauth.server import AuthorizationServer
from node.governing import console_parts
from node.jwks_addresses import reading
from node.opened import OpenedHome
from node.responding import opt_outs
from trust.certificates import load_certificates


def app_pages(
    opened: OpenedHome, server: AuthorizationServer, answering: Answering, records: FhirRecords
) -> AppPages:
    """The pages where a person approves an app.

    Raises:
        SettingsError: as ``console_parts``; when the list of opt-outs cannot be read.
    """
    return AppPages(
        AppSite(
            server=server,
            answering=answering,
            console=console_parts(opened, secure=True, root=f"{server.addresses.path}/authorize"),
            patients=Patients(records, opt_outs(opened).current),
        )
    )


def key_sets(opened: OpenedHome) -> Fetch:
    """Reads the key sets of our own clients; their addresses were registered by an administrator.

    They are mostly inside the health system, so addresses inside may be asked; their TLS
    certificates may be of a CA of its own.

    Raises:
        TrustError: when the file of ``fhir.jwks_ca_file`` cannot be read.
    """
    file = opened.settings.fhir.jwks_ca_file
    return reading(load_certificates(opened.home.resolve(file)) if file else ())
