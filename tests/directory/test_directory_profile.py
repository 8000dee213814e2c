import pytest

from directory.errors import DirectoryError
from directory.profile import effective_profile, profile_keys, profile_value


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("documents_per_retrieve", 3, 3),
        ("documents_per_retrieve", "5", 5),
        ("timeout", "2.5", 2.5),
        ("date_range_required", "yes", True),
        ("date_range_required", False, False),
        ("tls_profile", "legacy", "legacy"),
    ],
)
def test_values_are_typed(key, given, value):
    found = profile_value(key, given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("documents_per_retrieve", 0),
        ("documents_per_retrieve", 1.5),
        ("documents_per_retrieve", True),
        ("timeout", "nan"),
        ("timeout", "inf"),
        ("timeout", "soon"),
        ("timeout", None),
        ("date_range_required", "maybe"),
        ("tls_profile", "none"),
        ("colour", "red"),
    ],
)
def test_values_that_do_not_fit_are_refused(key, given):
    with pytest.raises(DirectoryError) as caught:
        profile_value(key, given)
    assert caught.value.code == "profile-invalid"


def test_every_key_has_a_reason_and_a_default_that_fits():
    for name, key in profile_keys().items():
        assert key.reason
        assert profile_value(name, key.default) == key.default


def test_the_effective_profile_fills_defaults():
    profile = effective_profile({"timeout": 3.0})
    assert profile["timeout"] == 3.0
    assert profile["tls_profile"] == "strict"
    assert set(profile) == set(profile_keys())
