"""Holds requests to AWS's own description of Converse, which its library carries; nothing is sent."""

import json
from base64 import b64decode
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

_LOADER: Any = botocore.loaders.Loader()
_DESCRIPTION: Any = botocore.model.ServiceModel(_LOADER.load_service_model("bedrock-runtime", "service-2"))
_VALIDATOR: Any = botocore.validate.ParamValidator()
_SHAPES: Any = {name: _DESCRIPTION.operation_model(name).input_shape for name in ("Converse", "ConverseStream")}


def check(body: bytes) -> None:
    """Fail where the body is not one of Converse and of ConverseStream: an unknown member, a wrong type, a limit."""
    for shape in _SHAPES.values():
        told = _parsed(json.loads(body), shape)
        report = _VALIDATOR.validate({**told, "modelId": "amazon.nova"}, shape)
        assert not report.has_errors(), report.generate_report()


def _parsed(value: Any, shape: Any) -> Any:
    """Return JSON as the library's callers say it: bytes are bytes, and what is not described is refused."""
    match shape.type_name:
        case "blob":
            return b64decode(value, validate=True)
        case "structure" if not getattr(shape, "is_document_type", False):
            unknown = set(value) - set(shape.members)
            assert not unknown, f"{shape.name} has no {unknown}"
            return {name: _parsed(inner, shape.members[name]) for name, inner in value.items()}
        case "list":
            return [_parsed(inner, shape.member) for inner in value]
        case "map":
            return {name: _parsed(inner, shape.value) for name, inner in value.items()}
        case "string":
            assert not shape.enum or value in shape.enum, f"{value!r} is not among {shape.enum}"
            return value
        case _:
            return value
