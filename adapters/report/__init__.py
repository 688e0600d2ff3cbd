"""The product's own report: what a sensor says that speaks this program's language.

=========================  ==========================================================
`adapters.report.decoder`  the adapter: tells the forms apart, keeps their order
`adapters.report.schema`   the words on the wire, as msgspec types
`adapters.report.objects`  JSON, JSON Lines and MessagePack, one object a report
`adapters.report.gather`   objects to columns
`adapters.report.arrays`   the fast form: MessagePack around little-endian arrays
`adapters.report.columns`  units, defaults of the sensor, `Detections`
`adapters.report.encode`   the way back, for simulators, replay and tests
=========================  ==========================================================
"""

from adapters.report.decoder import ReportAdapter

ADAPTER = ReportAdapter()

__all__ = ["ADAPTER", "ReportAdapter"]
