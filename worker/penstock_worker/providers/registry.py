"""Which adapter speaks a provider's wire. A provider is data; only a wire is code."""

from __future__ import annotations

from penstock_schemas.catalog import Model, Provider, Wire
from penstock_schemas.errors import ConfigurationError
from penstock_worker.providers.anthropic import AnthropicMessages
from penstock_worker.providers.gemini import GeminiContent
from penstock_worker.providers.openai_chat import OpenAIChat
from penstock_worker.providers.openai_responses import OpenAIResponses
from penstock_worker.providers.protocol import Adapter

_ADAPTERS: dict[Wire, Adapter] = {
    "openai_chat": OpenAIChat(),
    "openai_responses": OpenAIResponses(),
    "anthropic": AnthropicMessages(),
    "gemini": GeminiContent(),
}


def adapter_for(provider: Provider, model: Model | None = None) -> Adapter:
    """The adapter of a model's wire, which is its provider's unless the model needs another.

    Raises ConfigurationError for a wire that is not spoken.
    """
    wire = (model.wire if model else None) or provider.wire
    adapter = _ADAPTERS.get(wire)
    if adapter is None:
        raise ConfigurationError(
            f"provider {provider.name} speaks the {wire} wire, which this worker does "
            "not; route its jobs to another provider"
        )
    return adapter
