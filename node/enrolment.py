"""Certificates from a CA by ACME (RFC 8555), with external account binding where the CA wants it.

The key never leaves: the CA gets the signing request of ``cert request``, and what it issues goes
through the same questions and trial as a file would. ``http-01`` is answered by a listener that
lives as long as the order; ``dns-01`` by a command of the operator's, called as
``HOOK add|remove NAME VALUE``, without a shell. The library is certbot's ``acme``, which the extra
``acme`` of the package brings.
"""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from node.errors import NetworkFault, OurFault, SettingsError
from node.identity import passphrase
from node.settings import NodeHome, Settings
from trust.keys import KeyKind, generate_key, load_key, plain_pem, save_key

MAX_CHAIN_BYTES = 256 * 1024
ORDER_SECONDS = 180
HOOK_SECONDS = 300
_PATH = "/.well-known/acme-challenge/"


class Enrolment:
    """An account with the CA of the settings; makes orders and asks when to renew."""

    def __init__(self, home: NodeHome, settings: Settings) -> None:
        """Opens the account, made at the CA when it is new.

        Raises:
            SettingsError: ``acme-not-set``.
            OurFault: ``acme-library-missing``.
            NetworkFault: ``acme-failed``.
            TrustError: when the account's key cannot be used.
        """
        if not settings.acme.directory_url:
            raise SettingsError("acme-not-set", "node.toml names no CA that speaks ACME.")
        self._home, self._settings = home, settings
        with _told("opening the account"):
            self._client = self._opened()

    def order(self, csr_pem: bytes) -> bytes:
        """The chain in PEM, leaf first, that the CA issued for a signing request.

        Raises:
            NetworkFault: ``acme-failed`` when the CA refused, or did not answer in time.
            OurFault: ``acme-hook-failed``, ``acme-listener-failed``.
        """
        with _told("ordering a certificate"), ExitStack() as stack:
            order = self._client.new_order(csr_pem)
            pages: dict[str, str] = {}
            answers = [self._prepared(each, pages, stack) for each in order.authorizations]
            if pages:
                section = self._settings.acme
                stack.enter_context(_answering(section.http_host, section.http_port, pages))
            for body in answers:
                if body is not None:
                    self._client.answer_challenge(body, body.response(self._client.net.key))
            # the library compares with naive local time
            deadline = datetime.now() + timedelta(seconds=ORDER_SECONDS)  # noqa: DTZ005
            done = self._client.poll_and_finalize(order, deadline)
        chain = str(done.fullchain_pem).encode("ascii")
        if len(chain) > MAX_CHAIN_BYTES:
            raise NetworkFault("acme-failed", "The CA sent a chain that is too large.")
        return chain

    def suggested(self, leaf_pem: bytes) -> datetime | None:
        """A moment in the window that the CA suggests (RFC 9773), or ``None`` without one."""
        ari_error = import_module("acme.errors").ARIError
        try:
            moment, _ = self._client.renewal_time(leaf_pem)
        except ari_error:
            return None
        return moment if isinstance(moment, datetime) else None

    def _opened(self) -> Any:
        client, messages = import_module("acme.client"), import_module("acme.messages")
        jose = import_module("josepy")
        section = self._settings.acme
        key = jose.JWKEC.load(plain_pem(self._account_key()))
        net = client.ClientNetwork(key, alg=jose.ES256, user_agent="tefca-node", timeout=45)
        net.session.trust_env = False
        if section.ca_file:
            net.verify_ssl = str(self._home.resolve(section.ca_file))
        directory = client.ClientV2.get_directory(section.directory_url, net)
        opened = client.ClientV2(directory, net)
        binding = self._binding(messages, key, directory)
        if opened.external_account_required() and binding is None:
            raise SettingsError(
                "acme-not-set", "The CA wants an external account: acme.eab_key_id is not set."
            )
        wanted = messages.NewRegistration.from_data(
            email=section.contact or None, terms_of_service_agreed=True,
            external_account_binding=binding,
        )  # fmt: skip
        try:
            opened.new_account(wanted)
        except import_module("acme.errors").ConflictError as known:
            net.account = messages.RegistrationResource(
                uri=known.location, body=messages.Registration()
            )
        return opened

    def _binding(self, messages: Any, key: Any, directory: Any) -> Any:
        section = self._settings.acme
        if not section.eab_key_id:
            return None
        secret = os.environ.get(section.eab_key_env)
        if not secret:
            raise SettingsError(
                "acme-not-set", f"The variable {section.eab_key_env} has no external account key."
            )
        return messages.ExternalAccountBinding.from_data(
            account_public_key=key.public_key(), kid=section.eab_key_id, hmac_key=secret,
            directory=directory,
        )  # fmt: skip

    def _account_key(self) -> Any:
        file, secret = self._home.keys / "acme-account.key", passphrase(self._settings)
        if not file.exists():
            save_key(file, generate_key(KeyKind.P_256), passphrase=secret)
        return load_key(file, passphrase=secret)

    def _prepared(self, authorization: Any, pages: dict[str, str], stack: ExitStack) -> Any:
        """Make one challenge answerable; ``None`` where the CA asks for none any more."""
        challenges = import_module("acme.challenges")
        if authorization.body.status.name == "valid":
            return None
        wanted = self._settings.acme.challenge
        kind = challenges.DNS01 if wanted == "dns-01" else challenges.HTTP01
        body = next((b for b in authorization.body.challenges if isinstance(b.chall, kind)), None)
        if body is None:
            raise NetworkFault("acme-failed", f"The CA does not offer the challenge {wanted}.")
        key = self._client.net.key
        if kind is challenges.HTTP01:
            pages[body.chall.path] = body.chall.validation(key)
            return body
        name = body.chall.validation_domain_name(authorization.body.identifier.value)
        value = body.chall.validation(key)
        _run_hook(self._settings.acme.dns_hook, "add", name, value)
        stack.callback(_run_hook, self._settings.acme.dns_hook, "remove", name, value)
        return body


def _run_hook(hook: str, verb: str, name: str, value: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603  the operator's own command, without a shell
            [hook, verb, name, value], check=False, timeout=HOOK_SECONDS,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        code = done.returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OurFault(
            "acme-hook-failed", "The command of acme.dns_hook cannot be run.",
            detail=type(error).__name__,
        ) from error  # fmt: skip
    if code != 0:
        raise OurFault("acme-hook-failed", f"The command of acme.dns_hook ended with {code}.")


@contextmanager
def _answering(host: str, port: int, pages: Mapping[str, str]) -> Iterator[None]:
    """Serve the pages of http-01, and nothing else, until the block ends."""

    class Pages(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            page = pages.get(self.path) if self.path.startswith(_PATH) else None
            body = (page or "").encode("ascii")
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Nothing: the order tells how it ended."""

    try:
        server = http.server.ThreadingHTTPServer((host, port), Pages)
    except OSError as error:
        raise OurFault(
            "acme-listener-failed", f"Port {port} of {host or 'this machine'} cannot be used.",
            detail=str(error),
        ) from error  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _told(doing: str) -> Iterator[None]:
    """Turn what the library raises into one of our errors."""
    try:
        errors = (
            import_module("acme.errors").Error,
            import_module("acme.messages").Error,
            import_module("requests.exceptions").RequestException,
        )
        import_module("josepy")
    except ImportError as error:
        raise OurFault("acme-library-missing", "ACME needs the package acme.") from error
    try:
        yield
    except (*errors, ValueError) as error:
        detail = " ".join(str(error).split())[:500]
        raise NetworkFault("acme-failed", f"ACME failed when {doing}.", detail=detail) from error
