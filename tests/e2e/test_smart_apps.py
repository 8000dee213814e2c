"""A person opens an app in a real browser, over TLS, at a real node: standalone and from an EHR.

The app is a small HTTP server; the EHR signs with a library that is not the node's (josepy).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import josepy
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fhir_world import bundle
from node_network import Network, Site, now, serving
from playwright.sync_api import Browser, Page, sync_playwright

from node.demo.free_ports import free_ports
from node.identity import FhirServer, Role, identity_files
from node.ledger.private import load_key
from node.ledger.show import show
from node.opened import fhir_loader, opened_home
from node.records.folder import load_folder
from node.setup import issue_identity
from node.storage.engine import open_engine
from node.users.store import Users
from trust.certificates import load_certificates
from trust.keys import KeyKind

pytestmark = pytest.mark.e2e
PASSWORD = "several words nobody knows"
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa",
                                          "best-practice"]}
}  # fmt: skip
PEOPLE = [("ann", "Ann"), ("bob", "Bob")]


def records() -> bytes:
    made: list[dict[str, object]] = []
    for id_, given in PEOPLE:
        made += [
            {"resourceType": "Patient", "id": id_, "birthDate": "1980-01-02",
             "name": [{"family": "Arden", "given": [given]}], "gender": "female"},
            {"resourceType": "Observation", "id": f"hb-{id_}", "status": "final",
             "category": [{"coding": [{"code": "laboratory"}]}],
             "subject": {"reference": f"Patient/{id_}"},
             "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}},
        ]  # fmt: skip
    return bundle(*made)


class App:
    """An app that is given codes at ``back``."""

    def __init__(self, port: int) -> None:
        self.back = f"http://127.0.0.1:{port}/back"
        self.given: list[dict[str, str]] = []
        given = self.given

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if urlsplit(self.path).path == "/back":  # a browser asks for an icon as well
                    given.append(dict(parse_qsl(urlsplit(self.path).query)))
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<title>App</title><h1>The app is open</h1>")

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Made:
    """The node, its clients and its address."""

    def __init__(self, folder: Path) -> None:
        network = Network(folder)
        fhir_port, app_port = free_ports(2)
        self.site: Site = network.add(
            "hill",
            extra=f"""
[fhir]
enabled = true
port = {fhir_port}
public_url = "https://localhost:{fhir_port}/fhir"
""",
        )
        home = self.site.home
        text = home.settings_file.read_text(encoding="utf-8")
        text = text.replace("[console]", "[console]\none_time_codes = false")
        home.settings_file.write_text(text, encoding="utf-8")
        issue_identity(home, self.site.settings, network.authority, FhirServer.SERVER,
                       now=now(), kind=KeyKind.RSA_2048)  # fmt: skip
        network.join()
        self.base = self.site.settings.fhir.public_url
        self.ca = str(folder / "ca.pem")
        network_ca = next(folder.glob("ca/*.pem"))
        shutil.copy(network_ca, self.ca)
        self.app = App(app_port)
        self.key = rsa.generate_private_key(65537, 2048)
        given = folder / "given"
        given.mkdir()
        (given / "people.json").write_bytes(records())
        with opened_home(home, self.site.settings) as opened:
            load_folder(given, opened.index, opened.content, now(), fhir=fhir_loader(opened))
            users = Users(opened.engine, load_key(home.path), opened.clock.now)
            users.add("ida", "Ida Sample, MD", ("clinician",), PASSWORD, own=True)
        self.app_id = self.client(
            "chart", "--title", "Growth chart", "--kind", "app", "--public",
            "--redirect", self.app.back, "--launch", "standalone", "--launch", "ehr",
            "--scope", "launch launch/patient openid offline_access patient/*.rs",
        )  # fmt: skip
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"keys": [self.jwk()]}))
        self.ehr_id = self.client(
            "ehr", "--kind", "backend", "--jwks", str(keys),
            "--scope", "launch system/Patient.rs",
        )  # fmt: skip

    def client(self, name: str, *options: str) -> str:
        done = self.site.cli(
            "fhir", "client", "add", name, "--purpose", "T-TRTMNT", *options, "--json"
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["client_id"])

    def jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        text = base64.urlsafe_b64encode(n).rstrip(b"=").decode()
        return {"kty": "RSA", "kid": "ehr-1", "n": text, "e": "AQAB"}

    def assertion(self) -> str:
        """Signed by a library of others."""
        claims = {"iss": self.ehr_id, "sub": self.ehr_id, "aud": f"{self.base}/token",
                  "exp": int(time.time()) + 120, "jti": secrets.token_hex(16)}  # fmt: skip
        signed = josepy.JWS.sign(
            json.dumps(claims).encode(), key=josepy.JWKRSA(key=self.key), alg=josepy.RS384,
            include_jwk=False, protect=frozenset({"alg", "kid"}), kid="ehr-1",
        )  # fmt: skip
        return signed.to_compact().decode()

    def post(self, path: str, form: dict[str, str], token: str = "") -> requests.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return requests.post(
            f"{self.base}/{path}", data=form, headers=headers, verify=self.ca, timeout=30
        )

    def get(self, path: str, token: str) -> requests.Response:
        headers = {"authorization": f"Bearer {token}"}
        return requests.get(f"{self.base}/{path}", headers=headers, verify=self.ca, timeout=30)

    def reader(self) -> object:
        """The person under whose name the log has the newest reading."""
        entry = [e for e in self.site.ledger() if e.fields["txn"] == "FHIR-SEARCH"][-1]
        engine = open_engine(self.site.home.database_url(self.site.settings))
        try:
            return (
                show(engine, entry.seq, load_key(self.site.home.path))
                .groups["who"]
                .value["user_id"]
            )
        finally:
            engine.dispose()

    def backend_token(self, scope: str) -> dict[str, str]:
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.assertion(),
        }
        answer = self.post("token", form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


class Asking:
    """One request of the app, with its state and verifier."""

    def __init__(self, made: Made, scope: str, **more: str) -> None:
        self.made = made
        self.verifier = secrets.token_urlsafe(48)
        self.state = secrets.token_urlsafe(24)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.address = f"{made.base}/authorize?" + urlencode({
            "response_type": "code", "client_id": made.app_id, "redirect_uri": made.app.back,
            "scope": scope, "state": self.state, "aud": made.base,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256", **more,
        })  # fmt: skip

    def tokens(self) -> dict[str, str]:
        given = self.made.app.given[-1]
        assert given["state"] == self.state
        answer = self.made.post("token", {
            "grant_type": "authorization_code", "client_id": self.made.app_id,
            "code": given["code"], "redirect_uri": self.made.app.back,
            "code_verifier": self.verifier,
        })  # fmt: skip
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    built = Made(tmp_path_factory.mktemp("smart"))
    with serving(built.site):
        yield built


@pytest.fixture(scope="module")
def chromium(made: Made) -> Iterator[Browser]:
    """A browser that trusts this node's certificate and no other that is not public."""
    path = shutil.which("chromium")
    assert path, "these tests need Debian's chromium: apt-get install chromium"
    leaf = load_certificates(identity_files(made.site.home, Role.SERVER).certificate)[0]
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", f"--ignore-certificate-errors-spki-list={pin}"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    yield page
    context.close()
    assert not [text for text in problems if "content security policy" in text.lower()]


def accessible(page: Page) -> None:
    """Everybody can use the page, and no script is in it."""
    assert page.locator("script").count() == 0
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()


def sign_in(page: Page) -> None:
    accessible(page)
    page.get_by_label("Login").fill("ida")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_opens_an_app_that_reads_the_chosen_patient_alone(made: Made, page: Page) -> None:
    asking = Asking(made, "launch/patient openid offline_access patient/*.rs")
    page.goto(asking.address)
    sign_in(page)
    page.get_by_label("Family name").fill("Arden")
    page.get_by_label("Date of birth").fill("1980-01-02")
    page.get_by_role("button", name="Find the patient").click()
    accessible(page)
    page.get_by_role("button", name="Open Ann Arden").click()
    assert page.get_by_text("read and search everything of this patient").is_visible()
    accessible(page)
    page.get_by_role("button", name="Open Growth chart").click()
    page.get_by_role("heading", name="The app is open").wait_for()

    tokens = asking.tokens()
    assert tokens["patient"] == "ann"
    assert made.get("Patient/ann", tokens["access_token"]).status_code == 200
    assert made.get("Patient/bob", tokens["access_token"]).status_code == 404
    found = made.get("Observation?patient=ann&category=laboratory", tokens["access_token"]).json()
    assert [e["resource"]["id"] for e in found["entry"]] == ["hb-ann"]
    assert made.reader() == "ida"
    others = made.get("Observation?patient=bob", tokens["access_token"])
    assert "hb-bob" not in others.text

    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"],
            "client_id": made.app_id}  # fmt: skip
    again = made.post("token", form).json()
    assert made.get("Patient/ann", again["access_token"]).status_code == 200
    assert made.post("token", form).json()["error"] == "invalid_grant"
    assert made.get("Patient/ann", again["access_token"]).status_code == 401


def test_an_ehr_opens_an_app_on_the_patient_of_its_screen(made: Made, page: Page) -> None:
    ehr = made.backend_token("launch system/Patient.rs")
    form = {"client_id": made.app_id, "patient": "bob", "encounter": "e1", "user": "ida"}
    launched = made.post("launch", form, ehr["access_token"]).json()
    assert launched["iss"] == made.base
    asking = Asking(made, "launch openid patient/*.rs", launch=launched["launch"])
    page.goto(asking.address)
    sign_in(page)
    assert page.get_by_text("Bob Arden").is_visible()
    page.get_by_role("button", name="Open Growth chart").click()
    page.get_by_role("heading", name="The app is open").wait_for()
    tokens = asking.tokens()
    assert (tokens["patient"], tokens["encounter"]) == ("bob", "e1")
    assert tokens["need_patient_banner"] is False
    assert made.get("Patient/bob", tokens["access_token"]).status_code == 200
    assert made.get("Patient/ann", tokens["access_token"]).status_code == 404


def test_a_person_who_does_not_want_it_opens_nothing(made: Made, page: Page) -> None:
    page.goto(Asking(made, "launch/patient patient/*.rs").address)
    sign_in(page)
    page.get_by_role("button", name="Do not open the app").click()
    page.get_by_role("heading", name="The app is open").wait_for()
    assert made.app.given[-1]["error"] == "access_denied"


def test_a_system_reads_by_itself_with_a_token_of_five_minutes(made: Made) -> None:
    body = made.backend_token("system/Patient.rs")
    assert body["expires_in"] == 300
    assert made.get("Patient/ann", body["access_token"]).status_code == 200
    assert made.get("Observation/hb-ann", body["access_token"]).status_code == 403
