"""What the broker delivers is what the site file grants."""

import pytest

from tests.identities.secured import PEOPLE
from vedette.broker.delivery import prove
from vedette.broker.grants import grants_of

pytestmark = pytest.mark.broker


@pytest.mark.parametrize(
    ("secured", "right"),
    [({"mode": "live"}, 30), ({"mode": "exercise"}, 42)],  # a player speaks in an exercise alone
    indirect=["secured"],
    ids=["live", "exercise"],
)
def test_everything_granted_is_delivered_and_nothing_else(secured, right):
    certificates = {who: secured.tls(who) for who in PEOPLE}
    found = prove(secured.site, grants_of(secured.site), certificates)
    assert found.leaked == found.missing == ()
    assert found.right == right
