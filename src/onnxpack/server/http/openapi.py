"""Describe the server's HTTP API in OpenAPI."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from onnxpack.server.models.repository import Repository

_ERROR = {"$ref": "#/components/responses/Error"}


def document(repository: Repository) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, with the names of the served models."""
    name = _part("model", {served.name for served in repository})
    number = _part("version", {served.version for served in repository})
    paths: dict[str, Any] = {
        "/v2": {"get": _get("Name and version of the server", "Object")},
        "/v2/health/live": {"get": _get("Whether the process answers", "Live")},
        "/v2/health/ready": {"get": _get("Whether every model is proven", "Ready", "503")},
        "/v2/models": {"get": _get("Every model with its evidence", "Object")},
        "/metrics": {"get": _metrics()},
    }
    for parameters, prefix in (
        ([name], "/v2/models/{model}"),
        ([name, number], "/v2/models/{model}/versions/{version}"),
    ):
        for path, operation in _model_paths().items():
            paths[prefix + path] = {"parameters": parameters, **operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "onnxpack", "version": version("onnxpack")},
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "responses": _RESPONSES},
    }


def _part(name: str, known: set[str]) -> dict[str, Any]:
    """Return a path parameter; its values are unknown while the models are being proven."""
    schema: dict[str, Any] = {"type": "string"}
    if known:
        schema["enum"] = sorted(known)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _model_paths() -> dict[str, Any]:
    return {
        "": {"get": _get("Metadata of a model", "Object", "404", "503")},
        "/ready": {"get": _get("Whether a model is ready", "Ready", "404", "503")},
        "/infer": {"post": _infer()},
        "/predict": {"post": _predict()},
    }


def _get(summary: str, schema: str, *errors: str) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _answer(schema)}
    for status in errors:
        # "Not ready" is a regular answer with status 503, not an error.
        responses[status] = _answer(schema) if (schema, status) == ("Ready", "503") else _ERROR
    return {"summary": summary, "responses": responses | {"401": _ERROR, "403": _ERROR}}


def _answer(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": "OK", "content": content}


def _metrics() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    answers = {"200": {"description": "Metrics", "content": text}, "401": _ERROR, "403": _ERROR}
    return {"summary": "Counters in Prometheus's format", "responses": answers}


def _infer() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/InferRequest"}
    raw = {"type": "string", "format": "binary"}
    body = {
        "required": True,
        "content": {
            "application/json": {"schema": schema},
            "application/octet-stream": {"schema": raw},
        },
    }
    length = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "description": "Bytes of JSON before the raw tensors",
        "schema": {"type": "integer", "minimum": 0},
    }
    answered = _answer("InferResponse")
    answered["content"]["application/octet-stream"] = {"schema": raw}
    return {
        "summary": "Predict, in the Open Inference Protocol",
        "parameters": [length],
        "requestBody": body,
        "responses": {"200": answered, **_REFUSALS},
    }


def _predict() -> dict[str, Any]:
    raw = {"schema": {"type": "string", "format": "binary"}}
    body = {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": ["array", "object"]}},
            "application/x-npy": raw,
            "text/csv": {"schema": {"type": "string"}},
            "image/jpeg": raw,
            "image/png": raw,
        },
    }
    top = {
        "name": "top",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 10000},
    }
    return {
        "summary": "Predict from JSON, CSV, a picture or a .npy",
        "parameters": [top],
        "requestBody": body,
        "responses": {"200": _answer("Object"), **_REFUSALS},
    }


_REFUSALS = dict.fromkeys(
    ("400", "401", "403", "404", "413", "415", "429", "500", "503", "504"), _ERROR
)
_TENSOR = {
    "name": {"type": "string"},
    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    "datatype": {"type": "string"},
    "data": {"type": "array"},
    "parameters": {"type": "object"},
}
_SCHEMAS: dict[str, Any] = {
    "Object": {"type": "object"},
    "Live": {"type": "object", "properties": {"live": {"type": "boolean"}}},
    "Ready": {
        "type": "object",
        "required": ["ready"],
        "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}},
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "shape", "datatype"],
                    "properties": _TENSOR,
                },
            },
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                },
            },
        },
    },
    "InferResponse": {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"type": "object", "properties": _TENSOR}},
        },
    },
}
_RESPONSES = {
    "Error": {
        "description": "Error, with the reason",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
}
