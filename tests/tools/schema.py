# SPDX-License-Identifier: GPL-2.0-only
"""Validates what integrityctl --json printed against tools/integrityctl.schema.json.

    schema.py FILE|-    one object a line

Uses Debian's python3-jsonschema.
"""

import json
import sys
from pathlib import Path

import jsonschema

SCHEMA = Path(__file__).resolve().parents[2] / "tools" / "integrityctl.schema.json"


def objects(text):
    """The objects of an output, each valid; raises ValueError with what is wrong."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    found = []
    for line in text.splitlines():
        one = json.loads(line)
        # The errors of oneOf say nothing: the branch is chosen by what the object is.
        command = one.get("command")
        branch = ("error" if "error" in one else
                  {"list": "list", "watch": "watch", "bad-blocks": "bad_blocks", "speed": "speed"}.get(command, "one"))
        part = dict(schema, **{"$ref": f"#/definitions/{branch}"})
        part.pop("oneOf")
        for validator in part, schema:
            errors = list(jsonschema.Draft7Validator(validator).iter_errors(one))
            if errors:
                where = "/".join(map(str, errors[0].absolute_path))
                raise ValueError(f"{where}: {errors[0].message} in {line}")
        found.append(one)
    if not found:
        raise ValueError("no JSON")
    return found


if __name__ == "__main__":
    try:
        given = sys.stdin.read() if sys.argv[1] == "-" else Path(sys.argv[1]).read_text()
        print(f"{len(objects(given))} objects are valid")
    except (ValueError, OSError) as error:
        sys.exit(f"schema: {error}")
