from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from trust.anchors import (
    MAX_ANCHORS,
    add_anchor,
    authorised,
    load_anchors,
    remove_anchor,
    set_revocation,
)
from trust.certificates import fingerprint
from trust.errors import TrustError
from trust.revocation_policy import (
    ANCHOR_DEFAULT,
    RevocationPolicy,
    RevocationRule,
    Unknown,
)
from trust.usages import Usage


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "trust" / "anchors"


@pytest.fixture
def add(folder, now):
    def add(certificate, *, label="Network CA", network="tefca", **more):
        return add_anchor(folder, certificate, label=label, network=network, **{"now": now, **more})

    return add


def code(call, *args, **kwargs):
    with pytest.raises(TrustError) as caught:
        call(*args, **kwargs)
    return caught.value.code


def test_a_missing_folder_holds_no_anchors(folder):
    assert load_anchors(folder) == ()


def test_an_anchor_comes_back_as_added(folder, add, dev_ca, root):
    quoted = 'The "Größe" \\ CA'
    first = add(dev_ca.certificate, label=quoted, uses=(Usage.TLS_SERVER, Usage.TLS_CLIENT))
    second = add(root.certificate, network="another")
    assert load_anchors(folder) == (second, first)
    assert first.label == quoted
    name = fingerprint(dev_ca.certificate)
    assert (folder / f"{name}.pem").is_file()
    assert (folder / f"{name}.toml").is_file()


def test_an_anchor_is_authorised_for_its_uses_and_network_only(folder, add, dev_ca, root):
    add(dev_ca.certificate, uses=(Usage.TLS_SERVER,))
    add(root.certificate, network="another")
    both, one = authorised(load_anchors(folder)), authorised(load_anchors(folder), network="tefca")
    assert set(both[Usage.TLS_SERVER]) == {dev_ca.certificate, root.certificate}
    assert both[Usage.SAML_SIGNER] == (root.certificate,)
    assert one == {
        Usage.TLS_SERVER: (dev_ca.certificate,),
        Usage.TLS_CLIENT: (),
        Usage.SAML_SIGNER: (),
        Usage.UDAP_SIGNER: (),
    }


def test_the_same_anchor_is_added_once(folder, add, dev_ca):
    add(dev_ca.certificate, label="first")
    assert code(add, dev_ca.certificate, label="second") == "anchor-exists"
    assert [a.label for a in load_anchors(folder)] == ["first"]


def test_an_anchor_is_removed_by_a_unique_prefix(folder, add, dev_ca, root):
    anchor = add(dev_ca.certificate)
    add(root.certificate)
    assert code(remove_anchor, folder, anchor.fingerprint[:7]) == "anchor-missing"
    assert code(remove_anchor, folder, "0" * 64) == "anchor-missing"
    spelled = ":".join(anchor.fingerprint[i : i + 2] for i in range(0, 20, 2)).upper()
    assert remove_anchor(folder, spelled) == anchor
    assert [a.certificate for a in load_anchors(folder)] == [root.certificate]
    assert len(list(folder.iterdir())) == 2


def test_what_is_no_ca_is_no_anchor(folder, add, issue):
    assert code(add, issue("leaf.example").certificate) == "anchor-refused"
    assert load_anchors(folder) == ()


def test_an_expired_anchor_is_not_added(add, dev_ca, now):
    later = now + timedelta(days=40 * 365)
    assert code(add, dev_ca.certificate, now=later) == "anchor-refused"


def test_an_anchor_that_expired_since_is_still_listed(folder, add, forge, now):
    old = forge("Old Root", ca=True, starts=now - timedelta(days=9), ends=now - timedelta(days=2))
    add(old.certificate, now=now - timedelta(days=5))
    assert [a.certificate for a in load_anchors(folder)] == [old.certificate]


@pytest.mark.parametrize(
    "note",
    [
        {"label": ""},
        {"label": "x" * 101},
        {"label": "two\nlines"},
        {"network": ""},
        {"uses": ()},
    ],
)
def test_notes_are_short_printable_text(add, dev_ca, note):
    assert code(add, dev_ca.certificate, **note) == "anchor-note-invalid"


def test_a_file_that_is_not_what_its_name_says(folder, add, dev_ca, root):
    anchor = add(dev_ca.certificate)
    other = add(root.certificate)
    shutil.copy(folder / f"{other.fingerprint}.pem", folder / f"{anchor.fingerprint}.pem")
    assert code(load_anchors, folder) == "anchor-invalid"


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"label = ",
        b'label = "a"\nnetwork = "b"\nuses = ["world-peace"]\nadded = 2026-01-01T00:00:00Z\n',
        b'label = "a"\nnetwork = "b"\nuses = ["tls-server"]\nadded = "today"\n',
        b'label = 7\nnetwork = "b"\nuses = ["tls-server"]\nadded = 2026-01-01T00:00:00Z\n',
        b"\xff",
    ],
)
def test_a_note_that_is_missing_or_broken(folder, add, dev_ca, note):
    path = folder / f"{add(dev_ca.certificate).fingerprint}.toml"
    path.unlink()
    if note is not None:
        path.write_bytes(note)
    assert code(load_anchors, folder) == "anchor-invalid"


def test_the_number_of_anchors_is_bounded(folder, add, dev_ca):
    folder.mkdir(parents=True)
    for i in range(MAX_ANCHORS):
        (folder / f"{i}.pem").touch()
    assert code(add, dev_ca.certificate) == "anchors-too-many"
    (folder / "more.pem").touch()
    assert code(load_anchors, folder) == "anchors-too-many"


# --- revocation ---------------------------------------------------------------------------------


def test_an_anchor_without_a_rule_of_its_own_has_the_soft_default(folder, add, dev_ca):
    add(dev_ca.certificate)
    (note,) = folder.glob("*.toml")
    note.write_text(note.read_text().partition("\n[revocation]")[0] + "\n")
    (anchor,) = load_anchors(folder)
    assert anchor.revocation == ANCHOR_DEFAULT
    assert anchor.revocation.unknown is Unknown.SOFT


def test_a_rule_is_kept_and_changed(folder, add, dev_ca):
    strict = RevocationRule(
        policy=RevocationPolicy.REQUIRE_CRL,
        unknown=Unknown.HARD,
        grace=timedelta(hours=1.5),
        short_lived=timedelta(days=3),
    )
    added = add(dev_ca.certificate, revocation=strict)
    assert load_anchors(folder) == (added,)
    changed = set_revocation(folder, added.fingerprint[:8], ANCHOR_DEFAULT)
    assert load_anchors(folder) == (changed,)
    assert changed.label == added.label
    assert code(set_revocation, folder, "0" * 64, strict) == "anchor-missing"


@pytest.mark.parametrize(
    "line",
    ['policy = "never"', 'unknown = "maybe"', "grace-hours = -1", "grace-hours = true", "soft = 1"],
)
def test_a_rule_that_nobody_can_mean_makes_the_anchor_invalid(folder, add, dev_ca, line):
    add(dev_ca.certificate)
    (note,) = folder.glob("*.toml")
    note.write_text(f"{note.read_text().partition('[revocation]')[0]}[revocation]\n{line}\n")
    assert code(load_anchors, folder) == "anchor-invalid"
