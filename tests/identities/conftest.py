import pytest

from tests.identities.secured import Secured
from vedette.local.broker import find_mosquitto


@pytest.fixture(scope="session")
def secured_program():
    """Mosquitto's program; what needs it is skipped where there is none."""
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    return program


@pytest.fixture
def secured(request, server_folder, secured_program):
    """A started broker with certificates; parameters as of `Secured`."""
    made = Secured(server_folder, **getattr(request, "param", {}))
    made.configure()
    made.start()
    yield made
    made.stop()
