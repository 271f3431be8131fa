#!/usr/bin/env python3
"""Checks the API's document with a public validator (PyPI: openapi-spec-validator)."""

import json
import pathlib
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator

path = pathlib.Path(__file__).parent / "golden" / "openapi.json"
errors = list(OpenAPIV31SpecValidator(json.loads(path.read_text())).iter_errors())
for error in errors:
    print(f"{path.name}: {'/'.join(map(str, error.absolute_path))}: {error.message}", file=sys.stderr)
sys.exit(1 if errors else 0)
