import pytest

from tests.identities.secured import Secured
from vedette.local.broker import find_mosquitto


@pytest.fixture
def secured(request, server_folder):
    """A started broker with certificates; parameters as of `Secured`."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    made = Secured(server_folder, **getattr(request, "param", {}))
    made.configure()
    made.start()
    yield made
    made.stop()
