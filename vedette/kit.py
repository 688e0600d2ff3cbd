"""The integrator's kit: the one import for those who write adapters elsewhere.

An adapter is an object with `name`, `version`, `check_options` and `decode`
(`model.ports.Adapter`), named by an entry point of the group ``vedette.adapters``. Everything it
needs is here, and `verify` proves that it keeps the contract::

    from vedette.kit import Sensor, verify

    report = verify(ADAPTER, samples, sensor=Sensor("radar-1", adapter="acme"))
    assert report.passed, report

`KIT_VERSION` follows semantic versioning: what is in ``__all__`` keeps its meaning within a major
version, however the rooms behind it change.
"""

from adapters.common import MODE_NOT_SAID, refusal
from adapters.conformance import Report, messages_of, verify
from adapters.registry import GROUP
from adapters.state import BoundedState
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind, Mode
from model.errors import Quarantined, Reason
from model.ports import Adapter, Decoded, KeyedState, Messages
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from model.taxonomy import CLASSES, class_index, one_hot
from model.time import ns_from_iso, ns_from_seconds

__all__ = [
    "CLASSES",
    "GROUP",
    "KIT_VERSION",
    "MODE_NOT_SAID",
    "Adapter",
    "BoundedState",
    "Coverage",
    "Decoded",
    "DetectionKind",
    "DetectionProbability",
    "Detections",
    "DetectionsBuilder",
    "IdentityKind",
    "KeyedState",
    "Messages",
    "Mode",
    "Quarantined",
    "Reason",
    "Report",
    "Sensor",
    "Sensors",
    "Sigmas",
    "class_index",
    "messages_of",
    "ns_from_iso",
    "ns_from_seconds",
    "one_hot",
    "refusal",
    "verify",
]

KIT_VERSION = "1.0.0"
"""Version of this interface (semantic versioning)."""
