"""A real OpenID Provider (django-oauth-toolkit) over TLS, in a thread; its people have groups.

Django's settings are those of the process, so there is one such provider in it.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command

from trust.ca import Profile, create_ca, issue
from trust.csr import RequestedNames, build_csr
from trust.keys import KeyKind, generate_key
from trust.usages import Usage

CLIENT, SECRET = "lake-console", "a secret of the client: 100%"
PEOPLE = {
    "Anna.Weiss": ("Anna Weiss", ["lake-privacy"]),
    "t.arnbeck": ("T. Arnbeck", ["lake-integration", "lake-privacy-leads"]),
    "p.nobody": ("P. Nobody", ["lake-cafeteria"]),
    "reviewer": ("R. Viewer", ["lake-privacy"]),  # as a local account of the console
    "a.moved": ("A. Moved", ["lake-privacy"]),
}
PASSWORD = "their password at the provider"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that ends a handshake is no failure of the test."""


@contextmanager
def over_tls(app, folder: Path) -> Iterator[tuple[str, Path]]:
    """Serve a WSGI application at ``https://localhost:PORT``; the CA's file."""
    now = datetime.now(UTC)
    ca = create_ca("Lake Sign-on CA", now=now)
    key = generate_key(KeyKind.P_256)
    request = build_csr(
        key,
        RequestedNames(common_name="localhost", dns_names=("localhost",)),
        usages=(Usage.TLS_SERVER,),
    )
    leaf = issue(ca, request, profile=Profile.TLS_SERVER, now=now)
    ca_file, chain = folder / "sign-on-ca.pem", folder / "sign-on-server.pem"
    ca_file.write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    chain.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + leaf.public_bytes(Encoding.PEM)
    )

    def told(environ, start):
        return app({**environ, "wsgi.url_scheme": "https"}, start)

    server = make_server("localhost", 0, told, server_class=_Threads, handler_class=_Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", ca_file
    finally:
        server.shutdown()
        server.server_close()


def new_pem() -> str:
    """A key that signs ID Tokens."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class RealProvider:
    """The provider: where it is, and what a test changes of it."""

    base: str
    ca_file: Path

    @property
    def issuer(self) -> str:
        return f"{self.base}/o"

    def put_in_groups(self, login: str, groups: list[str]) -> None:
        PEOPLE[login] = (PEOPLE[login][0], groups)

    def rotate_key(self) -> None:
        from oauth2_provider.settings import oauth2_settings  # noqa: PLC0415 - as the models

        oauth2_settings.OIDC_RSA_PRIVATE_KEY = new_pem()


@contextmanager
def real_provider(folder: Path, back: str, after: str) -> Iterator[RealProvider]:
    """The provider; ``back`` and ``after`` (signing out) are the console's addresses."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["localhost"],
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "provider.db")
                }
            },
            INSTALLED_APPS=[
                "django.contrib.auth", "django.contrib.contenttypes",
                "django.contrib.sessions", "oauth2_provider",
            ],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
            ],
            TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates",
                        "APP_DIRS": True}],
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            LOGIN_URL="/login/",
            ROOT_URLCONF="tests.console.oidc_urls",
            SECRET_KEY="for tests alone",
            USE_TZ=True,
            OAUTH2_PROVIDER={
                "OIDC_ENABLED": True,
                "OIDC_RSA_PRIVATE_KEY": new_pem(),
                "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
                "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
                "PKCE_REQUIRED": True,
                "SCOPES": {"openid": "sign in", "profile": "name"},
                "OAUTH2_VALIDATOR_CLASS": "tests.console.oidc_urls.Claims",
                "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
            },
        )  # fmt: skip
        django.setup()
    # what reads Django's settings can be imported only now
    from django.contrib.auth.models import User  # noqa: PLC0415
    from oauth2_provider.models import get_application_model  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    for login in PEOPLE:
        User.objects.create_user(login, password=PASSWORD)
    get_application_model().objects.create(
        client_id=CLIENT, client_secret=SECRET, client_type="confidential",
        authorization_grant_type="authorization-code", skip_authorization=True,
        redirect_uris=back, post_logout_redirect_uris=after, algorithm="RS256",
    )  # fmt: skip
    with over_tls(WSGIHandler(), folder) as (base, ca_file):
        yield RealProvider(base=base, ca_file=ca_file)
