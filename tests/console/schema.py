"""As much of JSON Schema 2020-12 as the OpenAPI document uses; anything else is an error here."""

from datetime import datetime
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
KNOWN = {
    "type",
    "description",
    "enum",
    "format",
    "minimum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "additionalProperties",
    "oneOf",
    "$ref",
}


def faults(
    value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "$"
) -> list[str]:
    """Where a value breaks a schema of an OpenAPI document, a line each."""
    assert set(schema) <= KNOWN, f"{at}: keywords {set(schema) - KNOWN}"
    if "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return faults(value, target, document, at)
    if "oneOf" in schema:
        found = [faults(value, one, document, at) for one in schema["oneOf"]]
        return [] if [] in found else [line for lines in found for line in lines]
    names = schema.get("type", list(TYPES))
    names = [names] if isinstance(names, str) else names
    kinds = {kind for name in names for kind in TYPES[name]}
    if type(value) not in kinds:
        return [f"{at}: {value!r} is no {names}"]
    lines = []
    if "enum" in schema and value not in schema["enum"]:
        lines.append(f"{at}: {value!r} is not one of {schema['enum']}")
    if "minimum" in schema and value is not None and value < schema["minimum"]:
        lines.append(f"{at}: {value!r} is less than {schema['minimum']}")
    if schema.get("format") == "date-time" and value is not None:
        assert datetime.fromisoformat(value).tzinfo is not None
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            lines.append(f"{at}: {len(value)} items")
        for index, item in enumerate(value):
            lines += faults(item, schema.get("items", {}), document, f"{at}[{index}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        lines += [f"{at}.{key}: missing" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            if key in properties:
                lines += faults(item, properties[key], document, f"{at}.{key}")
            elif schema.get("additionalProperties") is False:
                lines.append(f"{at}.{key}: not in the document")
    return lines
