"""The site file: its schema, its loading, and example sites.

=====================  =============================================================
`config.schema`        what may stand in a site or sensors file (pydantic, human units)
`config.site`          `load_site`, `load_sensors`: TOML -> plain objects in SI
`config.engine`        the part of a site that decides outputs, as journaled bytes
`config/examples/`     sites and sensors files that work
=====================  =============================================================
"""

from config.engine import EngineConfig, engine_config
from config.site import Site, load_sensors, load_site

__all__ = ["EngineConfig", "Site", "engine_config", "load_sensors", "load_site"]
