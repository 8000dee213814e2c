"""Signing in with the organisation's account, against a real OpenID Provider over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from node.errors import OurFault
from node.ledger.find import LedgerFilter, find
from node.ledger.private import load_key
from tests.console import oidc_provider
from tests.console.conftest import Browser, Site, made_site
from tests.console.oidc_provider import CLIENT, SECRET, RealProvider, real_provider
from tests.console.test_access import _users, facts

CONSOLE = "https://console.lake.example"
SETTINGS = """
[sign_on]
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "{folder}/secret"
ca_file = "{ca_file}"
console_url = "{console}"
words = "the Lake account"
{more}

[sign_on.roles]
lake-privacy = "reviewer"
lake-privacy-leads = "lead"
lake-integration = "integrator"
"""


def settings_for(folder: Path, issuer: str, ca_file: Path, more: str = "") -> str:
    (folder / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    return SETTINGS.format(
        issuer=issuer, client=CLIENT, folder=folder, ca_file=ca_file, console=CONSOLE, more=more
    )


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProvider]:
    folder = tmp_path_factory.mktemp("provider")
    with real_provider(folder, f"{CONSOLE}/sign-on/back", f"{CONSOLE}/sign-in") as made:
        yield made


@pytest.fixture(scope="module")
def hospital(provider: RealProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The console of a hospital with its own sign-on."""
    folder = tmp_path_factory.mktemp("hospital")
    with made_site(folder, settings_for(folder, provider.issuer, provider.ca_file)) as made:
        yield made


class Person:
    """Somebody with a browser that keeps the cookies of both sites."""

    def __init__(self, site: Site, provider: RealProvider) -> None:
        self.console = Browser(site.base)
        self._provider = provider
        self._there = requests.Session()
        self._there.verify, self._there.trust_env = str(provider.ca_file), False

    def to_provider(self, path: str = "/sign-on") -> str:
        return self.console.get(path).headers["location"]

    def at_provider(self, address: str, login: str, password: str | None = None) -> str:
        """What the provider sends the browser back to."""
        for _ in range(6):
            answer = self._there.get(address, allow_redirects=False, timeout=10)
            if answer.status_code == 200:  # its page for the password
                form = {"u": login, "p": password or oidc_provider.PASSWORD}
                answer = self._there.post(address, form, allow_redirects=False, timeout=10)
            assert answer.status_code == 302, answer.text
            address = requests.compat.urljoin(address, answer.headers["location"])
            if address.startswith(CONSOLE):
                return address
        raise AssertionError(address)

    def back(self, address: str) -> requests.Response:
        return self.console.get(address.removeprefix(CONSOLE))

    def sign_in(self, login: str, path: str = "/sign-on") -> requests.Response:
        return self.back(self.at_provider(self.to_provider(path), login))


@pytest.fixture
def person(hospital: Site, provider: RealProvider) -> Person:
    return Person(hospital, provider)


def test_somebody_signs_in_with_the_roles_of_their_groups(hospital: Site, person: Person) -> None:
    assert "Sign in with the Lake account" in person.console.get("/sign-in").text
    answer = person.sign_in("t.arnbeck")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "T. Arnbeck, lead, integrator" in person.console.get("/").text
    assert person.console.get("/access").status_code == 200
    acts = [(act, who) for act, who, _ in facts(hospital, 3)]
    assert acts[2] == ("sign-in", {"user_id": "t.arnbeck", "name": "T. Arnbeck"})


def test_the_question_has_pkce_a_nonce_and_a_state_that_nobody_saw_before(person: Person) -> None:
    first, again = (parse_qs(urlsplit(person.to_provider()).query) for _ in range(2))
    assert first["response_type"] == ["code"]
    assert first["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) == 43
        assert first[name] != again[name]
    assert "prompt" not in first


def test_somebody_without_a_group_that_has_a_role_is_refused_in_words(
    hospital: Site, person: Person
) -> None:
    answer = person.sign_in("p.nobody")
    assert answer.status_code == 403
    assert "in no group that has a role at this console" in answer.text
    assert person.console.get("/").headers["location"] == "/sign-in"
    act, who, _ = facts(hospital)[0]
    assert (act, who) == ("sign-in-refuse", {"user_id": "not signed in"})
    assert "sign-on-no-role" in newest_reasons(hospital)


def test_the_login_of_a_local_account_is_never_taken_over(hospital: Site, person: Person) -> None:
    answer = person.sign_in("reviewer")
    assert answer.status_code == 403
    assert "Another account of this console has your login already" in answer.text
    assert person.console.get("/").headers["location"] == "/sign-in"
    assert hospital.browser("reviewer").get("/").status_code == 200


def test_local_accounts_keep_working_and_people_of_the_provider_have_no_password(
    hospital: Site, person: Person
) -> None:
    person.sign_in("Anna.Weiss")
    assert "Anna Weiss, reviewer" in person.console.get("/").text
    users = _users(hospital)
    known = users.find("anna.weiss")
    assert known is not None
    assert known.external
    for password in ("!", "", oidc_provider.PASSWORD):
        assert hospital.browser().sign_in("anna.weiss", password).status_code == 403
    with pytest.raises(OurFault) as caught:
        users.reset("anna.weiss", "several words that nobody knows")
    assert caught.value.code == "user-external"
    with pytest.raises(OurFault):
        users.change_roles("anna.weiss", ("administrator",))


def test_roles_follow_the_groups_at_the_next_sign_in(
    hospital: Site, person: Person, provider: RealProvider
) -> None:
    person.sign_in("a.moved")
    provider.put_in_groups("a.moved", ["lake-integration"])
    assert Person(hospital, provider).sign_in("a.moved").status_code == 303
    assert person.console.get("/").headers["location"] == "/sign-in"  # of the former roles
    provider.put_in_groups("a.moved", [])
    assert Person(hospital, provider).sign_in("a.moved").status_code == 403


def test_somebody_who_was_locked_out_here_stays_out(hospital: Site, person: Person) -> None:
    person.sign_in("Anna.Weiss")
    users = _users(hospital)
    users.set_active("anna.weiss", active=False)
    assert person.console.get("/").headers["location"] == "/sign-in"
    assert "This account is locked" in person.sign_in("Anna.Weiss").text
    users.set_active("anna.weiss", active=True)
    assert person.sign_in("Anna.Weiss").status_code == 303


def test_an_answer_counts_once_and_only_in_the_browser_that_asked(
    hospital: Site, provider: RealProvider
) -> None:
    first, other = Person(hospital, provider), Person(hospital, provider)
    address = first.at_provider(first.to_provider(), "Anna.Weiss")
    other.to_provider()
    stolen = other.back(address)
    assert stolen.status_code == 403
    assert "belongs to no sign-in that this browser has begun" in stolen.text
    kept = dict(first.console.session.cookies)
    assert first.back(address).status_code == 303
    first.console.session.cookies.update(kept)
    assert first.back(address).status_code == 403
    assert newest_reasons(hospital)[0] == "sign-on-state"


def test_the_provider_says_no(hospital: Site, person: Person) -> None:
    state = parse_qs(urlsplit(person.to_provider()).query)["state"][0]
    answer = person.console.get(f"/sign-on/back?state={state}&error=access_denied")
    assert answer.status_code == 403
    assert "did not let you in" in answer.text


def test_a_key_that_the_provider_changed_is_known_at_the_next_sign_in(
    hospital: Site, provider: RealProvider, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert person.sign_in("Anna.Weiss").status_code == 303
    provider.rotate_key()
    monkeypatch.setattr("node.jwks_addresses.PAUSE", 0)  # between two readings of a key set
    assert Person(hospital, provider).sign_in("Anna.Weiss").status_code == 303


def test_signing_out_ends_the_session_at_the_provider_too(hospital: Site, person: Person) -> None:
    person.sign_in("Anna.Weiss")
    answer = person.console.post("/sign-out", {"form": person.console.form()})
    assert answer.status_code == 200
    address = answer.text.split('content="0;url=')[1].split('"')[0].replace("&amp;", "&")
    assert "id_token" not in address
    assert person._there.get(address, timeout=10).status_code == 200  # the provider asks
    fields = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    left = person._there.post(
        address, fields | {"allow": "True"}, allow_redirects=False, timeout=10
    )
    assert (left.status_code, left.headers["location"]) == (302, f"{CONSOLE}/sign-in")
    assert person.console.get("/").headers["location"] == "/sign-in"
    asked = person._there.get(person.to_provider(), allow_redirects=False, timeout=10)
    assert "/login/" in asked.headers["location"]  # the provider does not know the browser any more


def test_proving_oneself_again_makes_the_provider_ask_anew(hospital: Site, person: Person) -> None:
    person.sign_in("Anna.Weiss")
    sessions = person.console.session.cookies["session"]
    address = person.to_provider("/sign-on?anew&back=/patients")
    asked = parse_qs(urlsplit(address).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    answer = person.back(person.at_provider(address, "Anna.Weiss"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/patients")
    assert person.console.session.cookies["session"] == sessions
    assert facts(hospital)[0][0] == "person-prove"


def test_somebody_elses_proof_does_not_count(hospital: Site, person: Person) -> None:
    person.sign_in("Anna.Weiss")
    address = person.to_provider("/sign-on?anew")
    person._there.cookies.clear()
    answer = person.back(person.at_provider(address, "t.arnbeck"))
    assert answer.status_code == 403
    assert newest_reasons(hospital)[0] == "sign-on-other"


def test_nobody_is_led_to_another_site(person: Person) -> None:
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nx: y"):
        person.console.session.cookies.clear()
        answer = person.back(
            person.at_provider(
                person.console.session.get(
                    f"{person.console.base}/sign-on", params={"back": back}, allow_redirects=False,
                    timeout=10,
                ).headers["location"],
                "Anna.Weiss",
            )
        )  # fmt: skip
        assert answer.headers["location"] == "/"


def test_local_accounts_can_be_switched_off(provider: RealProvider, tmp_path: Path) -> None:
    more = 'local_accounts = false\nlogins = ["t.*"]'
    with made_site(
        tmp_path, settings_for(tmp_path, provider.issuer, provider.ca_file, more)
    ) as site:
        assert 'name="password"' not in site.browser().get("/sign-in").text
        assert site.browser().sign_in("reviewer").status_code == 403
        assert site.browser("reviewer").get("/").status_code == 303
        assert Person(site, provider).sign_in("t.arnbeck").status_code == 303
        refused = Person(site, provider).sign_in("Anna.Weiss")
        assert "none that may sign in here" in refused.text


def newest_reasons(site: Site) -> list[str]:
    found = find(site.opened.engine, LedgerFilter(kind="admin"),
                 key=load_key(site.opened.home.path), limit=10)  # fmt: skip
    return [str(each.fields["reason"]) for each in found.entries if "reason" in each.fields]
