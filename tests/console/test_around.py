"""Around an exchange: the same patient, person and peer, near in time and no further."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tests.console.conftest import Site, leg
from tests.ledger.records import CANARIES


def test_an_exchange_leads_to_what_happened_around_it(site: Site) -> None:
    near, far = site.write(leg(31, ago=400)), site.write(leg(31, ago=9000))
    other = site.write(leg(32, ago=2000))
    exchange = site.write(leg(31, ago=500))
    text = site.browser("lead").get(f"/exchanges/{exchange}").text
    part = text[text.index('id="around"') : text.index('id="integrity"')]
    lists = dict(re.findall(r"<h3[^>]*>([^<]+)</h3>(.*?)</section>", part, re.DOTALL))
    assert [words.split(",")[0] for words in lists] == [
        "The same patient", "The same person", "The same peer"
    ]  # fmt: skip
    patient, person, peer = lists.values()
    assert near in patient
    assert other in patient
    assert other in person
    assert near in peer
    assert other not in peer
    assert far not in part
    assert 'class="why"' not in part  # a second bullet before each outcome's mark
    for address in re.findall(r'href="(/exchanges\?[^"]+)"', part):
        assert not [canary for canary in CANARIES if canary in unquote(address)]
        assert site.browser("lead").get(address.replace("&amp;", "&")).status_code == 200
