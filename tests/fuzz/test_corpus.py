"""The kept corpus, and a few thousand changes made by chance, hold every invariant; no atheris."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.driver import kept
from tests.fuzz.target import CORPUS, Target, random_bytes
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.filterwarnings("ignore")

TRIES = {"security": 250, "signature": 300, "mtom": 150, "key": 30}
LEAST = {
    "security": 18, "signature": 9, "xml": 4, "mtom": 4, "certificate": 8, "request": 2, "crl": 5,
    "ocsp": 5,
}  # fmt: skip
"""Outcomes that the kept inputs of a target lead to: fewer would mean that it rots."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_seeds_and_kept_inputs_hold_every_invariant(target: Target):
    outcomes = {target.check(data) for data in (*target.seeds(), *kept(target))}
    assert len(outcomes) >= LEAST.get(target.name, 1), outcomes


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_changes_by_chance_hold_every_invariant(target: Target):
    random = Random(target.name)
    pool = [*target.seeds(), *kept(target)]
    for _ in range(TRIES.get(target.name, 500)):
        changed = target.mutate(
            random.choice(pool), random, lambda data, size: random_bytes(data, random, size)
        )
        target.check(changed[: target.max_bytes])


def test_every_folder_of_the_corpus_has_its_target():
    names = {path.name for path in CORPUS.iterdir()}
    assert names == set(TARGETS) - {"key"}


def test_the_corpus_is_small_and_has_no_private_key():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1 << 20
    assert not [path.name for path in files if b"PRIVATE KEY" in path.read_bytes()]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_every_seed_is_within_the_size_of_its_target(target: Target):
    assert all(len(data) <= target.max_bytes for data in target.seeds())
