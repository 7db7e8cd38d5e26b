"""The OpenAPI document: FastAPI's, with the schemas of bodies and the problems of all routes."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from penstock_client.pipelines.skill import Skill
from penstock_gateway.backfill_bodies import (
    BackfillBody,
    BackfillChanges,
    BackfillRowsBody,
    BackfillStartBody,
)
from penstock_gateway.config_bodies import (
    ConfigBody,
    ConfigurationBody,
    EstimateBody,
    KeyBody,
    NewConfiguration,
    NewWorkspace,
    TokenBody,
)
from penstock_gateway.problems import MEDIA_TYPE, Problem
from penstock_gateway.run_bodies import RunBody
from penstock_gateway.views import JobIds, Jobs, RequeueBody
from penstock_gateway.webhook_views import WebhookSecretBody, WebhookTestBody
from penstock_schemas.workspaces import WorkspaceChanges

TITLE: Final = "Penstock"
DESCRIPTION: Final = (
    "LLM calls as jobs: submit typed jobs, await normalised results. Every error is a problem by "
    "RFC 9457."
)
TAGS: Final = (
    {"name": "jobs", "description": "Submit, await, list, explain, cancel."},
    {"name": "pipelines", "description": "Skills of several steps, and their runs."},
    {"name": "backfills", "description": "The same question for each of many rows."},
    {"name": "webhooks", "description": "Signing secrets and deliveries."},
    {"name": "configuration", "description": "Routing, providers, budgets of a workspace."},
    {"name": "keys", "description": "Workspaces' own keys for providers."},
    {"name": "usage", "description": "What was called, used and spent."},
    {"name": "catalogue", "description": "Providers, models, prices."},
    {"name": "workspaces", "description": "Workspaces, for administrators."},
    {"name": "tokens", "description": "API tokens, for administrators."},
    {"name": "operations", "description": "What operators see, for administrators."},
    {"name": "health", "description": "Health, readiness and metrics."},
)
_REF: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (
    BackfillBody,
    BackfillChanges,
    BackfillRowsBody,
    BackfillStartBody,
    ConfigBody,
    ConfigurationBody,
    EstimateBody,
    JobIds,
    Jobs,
    KeyBody,
    NewConfiguration,
    NewWorkspace,
    RequeueBody,
    RunBody,
    Skill,
    TokenBody,
    WebhookSecretBody,
    WebhookTestBody,
    WorkspaceChanges,
)
_JOB_TYPES: Final = ("Generate", "Reason", "Extract", "Classify", "Embed")
#: Problems of every route that needs a token, and of those that take a body.
_OF_ALL: Final = {
    "401": "The token is missing, unknown, expired or revoked.",
    "403": "The token lacks the scope.",
    "404": "There is no such thing, as far as this token may know.",
    "422": "Something in the request cannot be accepted.",
    "503": "A server behind the gateway is away; `Retry-After` says when to try again.",
}
_OF_BODIES: Final = {
    "400": "The body is not JSON, or nested too deeply.",
    "413": "The body is too large.",
    "415": "The body is not called JSON.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document; made once, as FastAPI does."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=[dict(tag) for tag in TAGS],
            separate_input_output_schemas=False,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= _body_schemas()
        for path in document["paths"].values():
            for operation in path.values():
                _tell_problems(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _body_schemas() -> dict[str, Any]:
    _, found = models_json_schema([(kind, "validation") for kind in _BODIES], ref_template=_REF)
    schemas: dict[str, Any] = found["$defs"]
    schemas["Problem"] = TypeAdapter(Problem).json_schema(ref_template=_REF)
    schemas |= schemas["Problem"].pop("$defs", {})
    kinds = [{"$ref": _REF.format(model=name)} for name in _JOB_TYPES]
    mapping = {name.lower(): _REF.format(model=name) for name in _JOB_TYPES}
    for name in _JOB_TYPES:
        # A token of one workspace fills it in; a job without a type is none.
        required = [*schemas[name].get("required", ()), "type"]
        schemas[name]["required"] = [field for field in required if field != "workspace"]
    one = {"oneOf": kinds, "discriminator": {"propertyName": "type", "mapping": mapping}}
    schemas["JobOrJobs"] = {"anyOf": [one, {"$ref": _REF.format(model="Jobs")}]}
    return schemas


def _tell_problems(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    if "security" not in operation:
        return
    told = _OF_ALL | (_OF_BODIES if "requestBody" in operation else {})
    schema = {"$ref": _REF.format(model="Problem")}
    for status, description in told.items():
        responses[status] = {
            "description": description,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
