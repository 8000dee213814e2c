"""Who may open what, and that it is written down (facts: governance-ux G10, G22, 10)."""

from __future__ import annotations

import re

import pyotp
import pytest

from node.console.app import PAGES
from node.ledger.find import LedgerFilter, find
from node.ledger.private import load_key
from node.ledger.show import show
from node.users.roles import role_table
from node.users.store import Users
from tests.console.conftest import PASSWORD, Browser, Site, leg

ROLES = sorted(role_table().roles)
ADDRESSES = {"/exchanges/{exchange_id}": "/exchanges/00000000-0000-7000-8000-000000000000"}


def facts(site: Site, limit: int = 20) -> list[tuple[str, object, object]]:
    """The newest entries of the console: act, who, what about."""
    key, engine = load_key(site.opened.home.path), site.opened.engine
    found = []
    for entry in find(engine, LedgerFilter(kind="admin"), key=key, limit=limit).entries:
        shown = show(engine, entry.seq, key)
        assert shown is not None
        assert not shown.findings
        groups = {name: each.value for name, each in shown.groups.items()}
        found.append((str(entry.fields["act"]), groups.get("who"), groups.get("wire")))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_the_pages_of_its_rights_and_no_other(site: Site, role: str) -> None:
    browser = site.browser(role)
    whole = {"form": browser.form(), "patient": "1^^^&2.999&ISO"}
    whole |= {"report": "monthly", "period": "2026-10", "as": "csv"}
    rights = role_table().roles[role].rights
    for page in PAGES:
        address = ADDRESSES.get(page.path, page.path)
        answer = browser.get(address) if page.method == "GET" else browser.post(address, whole)
        if page.right in rights:
            # 400: a form of the page's own that says nothing yet
            assert answer.status_code in (200, 303, 400, 404), (page.path, answer.status_code)
        else:
            assert answer.status_code == 403, page.path
            assert "Your administrator gives roles" in answer.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_nobody_gets_in_without_a_session(site: Site, page) -> None:
    browser = site.browser()
    address = ADDRESSES.get(page.path, page.path)
    answer = browser.get(address) if page.method == "GET" else browser.post(address, {"q": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


def test_what_was_typed_for_too_long_is_given_back_and_nothing_is_done(site: Site) -> None:
    exchange = site.write(leg(1))
    reviewer = site.browser("reviewer")
    address = f"/exchanges/{exchange}/flag"
    typed = {"form": reviewer.form(), "text": "It took <b>ten</b> minutes to write this.",
             "password": "a secret that is long enough"}  # fmt: skip
    shown = site.browser().post(address, typed)
    assert shown.status_code == 401
    assert ">It took &lt;b&gt;ten&lt;/b&gt; minutes to write this.</textarea>" in shown.text
    assert "a secret" not in shown.text
    assert 'href="/sign-in">Sign in</a>' in shown.text
    again = site.browser("reviewer").post(address, typed)
    assert (again.status_code, "ten&lt;/b&gt; minutes" in again.text) == (400, True)
    assert "No case is about this exchange." in reviewer.get(f"/exchanges/{exchange}").text


@pytest.mark.parametrize("cookie", ["", "x", "a" * 4096, "é", "' OR 1=1 --", "../../etc"])
def test_forged_cookies_are_nobody(site: Site, cookie: str) -> None:
    browser = site.browser()
    answer = browser.get("/exchanges", headers={"cookie": f"session={cookie}".encode()})
    assert answer.status_code == 303


def test_every_page_that_was_opened_is_an_entry_of_the_log(site: Site) -> None:
    exchange = site.write(leg(1))
    browser = site.browser("auditor")
    browser.get(f"/exchanges/{exchange}")
    act, who, about = facts(site)[0]
    assert act == "page-view"
    assert who == {"user_id": "auditor", "name": "The auditor"}
    assert about == {"page": f"/exchanges/{exchange}", "right": "exchanges"}
    assert facts(site)[1][0] == "sign-in"
    assert "/exchanges/" + exchange in browser.get("/access").text


def test_a_page_that_was_refused_is_an_entry_as_well(site: Site) -> None:
    site.browser("clinician").get("/access")
    act, who, about = facts(site)[0]
    assert (act, who["user_id"]) == ("page-refuse", "clinician")  # type: ignore[index]
    assert about == {"page": "/access", "right": "access-log"}


def test_a_wrong_password_is_an_entry_without_the_password(site: Site) -> None:
    answer = site.browser().sign_in("lead", "not this one")
    assert answer.status_code == 403
    assert "do not belong together" in answer.text
    assert "not this one" not in answer.text
    act, who, about = facts(site)[0]
    assert (act, who) == ("sign-in-refuse", {"user_id": "not signed in"})
    assert about == {"login": "lead"}
    assert "not this one" not in repr(facts(site))


def test_the_first_password_must_be_changed(site: Site) -> None:
    browser = site.browser("new.user")
    assert browser.get("/exchanges").headers["location"] == "/sign-in"
    form = browser.form("/sign-in")
    new = "quite another sentence"
    answer = browser.post("/sign-in", {"form": form, "password": new, "again": new + "s"})
    assert "differ" in answer.text
    answer = browser.post("/sign-in", {"form": form, "password": PASSWORD, "again": PASSWORD})
    assert "in use" in answer.text
    assert (
        browser.post("/sign-in", {"form": form, "password": new, "again": new}).status_code == 303
    )
    assert browser.get("/exchanges").status_code == 200
    assert [act for act, _, _ in facts(site, 3)] == ["page-view", "sign-in", "password-change"]


def test_one_time_codes_are_set_up_and_asked_for(site: Site) -> None:
    users = _users(site)
    users.reset("integrator", PASSWORD)
    users.change_password("integrator", "a password of their own")
    browser = Browser(site.base)
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    totp = pyotp.TOTP(secret)
    assert users.set_code("integrator", secret, totp.now())
    assert browser.sign_in("integrator", "a password of their own").status_code == 303
    assert browser.get("/exchanges").headers["location"] == "/sign-in"
    page = browser.get("/sign-in").text
    assert "Code of six digits" in page
    used = browser.post("/sign-in", {"form": browser.form("/sign-in"), "code": totp.now()})
    assert used.status_code == 403  # the code that set it up counts no second time


def _users(site: Site) -> Users:
    opened = site.opened
    return Users(opened.engine, load_key(opened.home.path), opened.clock.now)


def test_signing_out_ends_the_session_everywhere(site: Site) -> None:
    browser = site.browser("lead")
    token = browser.session.cookies["session"]
    browser.post("/sign-out", {"form": browser.form()})
    other = Browser(site.base)
    other.session.cookies.set("session", token)
    assert other.get("/").status_code == 303
    assert facts(site)[0][0] == "sign-out"


# --- forms of other sites ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_sent_by_another_site_is_refused(site: Site, headers) -> None:
    browser = site.browser("lead")
    form = browser.form()
    answer = browser.post("/search", {"form": form, "q": "lead"}, headers=headers)
    assert answer.status_code == 400


def test_a_search_that_is_not_understood_is_an_entry_without_what_was_typed(site: Site) -> None:
    browser = site.browser("lead")
    answer = browser.post("/search", {"form": browser.form(), "q": "outcome:Canaryson"})
    assert answer.status_code == 400
    assert "Type an id" in answer.text
    assert facts(site)[0] == (
        "page-refuse",
        {"user_id": "lead", "name": "The lead"},
        {"page": "/search", "right": "exchanges"},
    )


@pytest.mark.parametrize("form", ["", "x", "0" * 43])
def test_a_form_without_its_sessions_proof_is_refused(site: Site, form: str) -> None:
    answer = site.browser("lead").post("/search", {"form": form, "q": "lead"})
    assert answer.status_code == 400
    assert facts(site)[0][0] == "page-refuse"


def test_a_form_of_another_type_or_size_is_refused(site: Site) -> None:
    browser = site.browser("lead")
    for data, kind in (
        ("{}", "application/json"),
        ("q=" + "x" * 70_000, "application/x-www-form-urlencoded"),
        ("&".join(f"a{n}=1" for n in range(300)), "application/x-www-form-urlencoded"),
    ):
        answer = browser.post("/search", data, headers={"content-type": kind})
        assert answer.status_code == 400, kind


def test_going_back_stays_on_the_console(site: Site) -> None:
    browser = site.browser("lead")
    form = browser.form()
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", ""):
        answer = browser.post("/zone", {"form": form, "back": back, "to": "utc"})
        assert answer.headers["location"] == "/"
    assert (
        browser.post("/zone", {"form": form, "back": "/exchanges?since=7d", "to": "utc"}).headers[
            "location"
        ]
        == "/exchanges?since=7d"
    )


def test_pages_keep_no_copies_and_load_nothing_from_elsewhere(site: Site) -> None:
    browser = site.browser("lead")
    for path in ("/", "/exchanges", "/access", "/exchanges/nothing", "/sign-in", "/nowhere"):
        answer = browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        own = '<script src="/static/console.js" defer></script>'
        assert not re.search(r"<script|style=|\son[a-z]+=", answer.text.replace(own, ""))
    cookie = site.browser().sign_in("lead").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
