"""The OpenAPI document of the HTTP API, written by hand and held against the routes by a test.

OpenAPI Specification 3.1.1; schemas are JSON Schema 2020-12. The feed is no HTTP resource:
`console.feed` lays it out.
"""

from typing import Any

from model.detections import IdentityKind, Mode
from model.taxonomy import CLASSES
from model.tracks import Affiliation, Status, UpdateReason


def _names(values: Any, without: tuple[str, ...] = ()) -> list[str]:
    return [value.name.lower() for value in values if value.name.lower() not in without]


def _or_null(schema_type: str, text: str) -> dict[str, Any]:
    return {"type": [schema_type, "null"], "description": text}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object that always has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def _answer(text: str, schema: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _listed(name: str, values: list[str]) -> dict[str, Any]:
    """A query parameter that lists some of these values."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": "only these, separated by commas",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"type": "string", "enum": values}},
    }


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "format": "date-time", "description": "ISO 8601, UTC, microseconds"}
_FAILED = _answer("The picture source failed.", "Error")

_GIVEN = _object(
    {
        "agreement": _TEXT,
        "path": {"type": "array", "items": _TEXT, "description": "nodes passed, first to last"},
        "sent": {"type": ["string", "null"], "format": "date-time"},
        "received": {"type": ["string", "null"], "format": "date-time"},
    }
)

_TRACK = _object(
    {
        "node": {"type": "string", "description": "whose track it is"},
        "id": {"type": "string", "description": "int64 as decimal text"},
        "number": {"type": "string", "description": "spoken: a letter and four digits"},
        "status": {"type": "string", "enum": _names(Status, ("deleted",))},
        "reason": {"type": "string", "enum": _names(UpdateReason)},
        "valid": _TIME,
        "known": _TIME,
        "stale": {"type": ["string", "null"], "format": "date-time"},
        "known_offset": {"type": "integer", "description": "journal offset; -1: none"},
        "n": _COUNT,
        "revision": _COUNT,
        "authority_epoch": _COUNT,
        "lat": _or_null("number", "degrees, WGS-84"),
        "lon": _or_null("number", "degrees, WGS-84"),
        "alt_m": _or_null("number", "metres above the WGS-84 ellipsoid"),
        "east_mps": _or_null("number", "m/s"),
        "north_mps": _or_null("number", "m/s"),
        "up_mps": _or_null("number", "m/s"),
        "speed_mps": _or_null("number", "over ground, m/s"),
        "course_deg": _or_null("number", "over ground, from true north, clockwise"),
        "covariance_m2": {
            "type": "array",
            "items": {"type": ["number", "null"]},
            "minItems": 6,
            "maxItems": 6,
            "description": "EE, EN, NN, EU, NU, UU at the track, m²",
        },
        "existence": _or_null("number", "probability that it is a real mover"),
        "class": {
            "type": "object",
            "properties": {label: {"type": "number"} for label in CLASSES},
            "additionalProperties": False,
            "description": "probability of each class; those of 0 are left out",
        },
        "affiliation": {"type": "string", "enum": _names(Affiliation)},
        "identity": {
            "type": ["object", "null"],
            "properties": dict.fromkeys(_names(IdentityKind, ("none",)), _TEXT),
            "additionalProperties": False,
            "description": "what a cooperative craft says it is",
        },
        "sensors": {"type": "array", "items": _TEXT, "description": "heard last, newest first"},
        "mode": {"type": "string", "enum": _names(Mode)},
        "given": {
            "oneOf": [{"type": "null"}, _GIVEN],
            "description": "how a partner's track came here; null: an own track",
        },
    }
)

_CONTRIBUTION = _object(
    {"sensor": _TEXT, "time": _TIME, "age_s": {"type": "number", "description": "seconds"}}
)

_STATUS = _object(
    {
        "node": _TEXT,
        "time": _TIME,
        "ok": {"type": "boolean"},
        "reason": _TEXT,
        "tracks": _object(dict.fromkeys(("confirmed", "coasting", "tentative"), _COUNT)),
        "foreign": {
            "type": "object",
            "additionalProperties": _COUNT,
            "description": "confirmed and coasting tracks by giving node",
        },
        "base_map": {"type": "string", "description": "why there is none; empty: there is one"},
        "feed": _object({"readers": _COUNT, "period_s": {"type": "number"}}),
        "status": {
            "type": "object",
            "description": "status of core and serve as the node gives it; keys: console.source",
        },
    }
)

OPENAPI: dict[str, Any] = {
    "openapi": "3.1.1",
    "info": {
        "title": "Vedette console",
        "version": "1",
        "description": (
            "Read-only view of one node. Live tracks come over the WebSocket /feed as flat typed "
            "arrays; these routes are for people's programs and for monitoring."
        ),
    },
    "paths": {
        "/": {
            "get": {
                "summary": "The live map page",
                "responses": {"200": {"description": "HTML", "content": {"text/html": {}}}},
            }
        },
        "/healthz": {
            "get": {
                "summary": "Whether the node does its work",
                "responses": {
                    "200": _answer("It does.", "Health"),
                    "503": {
                        "description": "It does not, or nobody can tell.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "oneOf": [
                                        {"$ref": "#/components/schemas/Health"},
                                        {"$ref": "#/components/schemas/Error"},
                                    ]
                                }
                            }
                        },
                    },
                },
            }
        },
        "/metrics": {
            "get": {
                "summary": "Metrics in the Prometheus text format 0.0.4",
                "responses": {
                    "200": {"description": "Metrics", "content": {"text/plain": {}}},
                    "503": _FAILED,
                },
            }
        },
        "/api/status": {
            "get": {
                "summary": "Status of the node",
                "responses": {"200": _answer("Status", "Status"), "503": _FAILED},
            }
        },
        "/api/tracks": {
            "get": {
                "summary": "Head of every track that is not deleted, own and foreign",
                "parameters": [
                    _listed("status", _names(Status, ("deleted",))),
                    _listed("origin", ["own", "foreign"]),
                ],
                "responses": {
                    "200": _answer("Tracks", "Tracks"),
                    "400": _answer("A parameter is wrong.", "Error"),
                    "503": _FAILED,
                },
            }
        },
        "/api/tracks/{id}": {
            "get": {
                "summary": "One track, and when each sensor last contributed to it",
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "description": "int64 as decimal text",
                        "schema": _TEXT,
                    },
                    {
                        "name": "node",
                        "in": "query",
                        "required": False,
                        "description": "node that gave the track; this node without it",
                        "schema": _TEXT,
                    },
                ],
                "responses": {
                    "200": _answer("The track", "OneTrack"),
                    "400": _answer("A parameter is wrong.", "Error"),
                    "404": _answer("That is no track id.", "Error"),
                    "503": _FAILED,
                },
            }
        },
        "/api/openapi.json": {
            "get": {
                "summary": "This document",
                "responses": {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            }
        },
    },
    "components": {
        "schemas": {
            "Health": _object(
                {"ok": {"type": "boolean"}, "reason": _TEXT, "node": _TEXT, "time": _TIME}
            ),
            "Status": _STATUS,
            "Tracks": _object(
                {
                    "node": _TEXT,
                    "time": _TIME,
                    "tracks": {"type": "array", "items": {"$ref": "#/components/schemas/Track"}},
                }
            ),
            "Track": _TRACK,
            "OneTrack": _object(
                {
                    "node": _TEXT,
                    "time": _TIME,
                    "track": {
                        "oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Track"}],
                        "description": "null: there is no such track now",
                    },
                    "contributions": {
                        "type": "array",
                        "items": _CONTRIBUTION,
                        "description": "newest first; empty: not told, or a foreign track",
                    },
                    "doubted_since": {
                        "type": ["string", "null"],
                        "format": "date-time",
                        "description": "since when its identity is doubted; null: it is not, "
                        "not told, or a foreign track",
                    },
                }
            ),
            "Error": _object(
                {
                    "error": _object(
                        {"status": {"type": "integer"}, "title": _TEXT, "message": _TEXT}
                    )
                }
            ),
        }
    },
}
