"""Which adapter speaks a provider's wire. A provider is data; only a wire is code."""

from __future__ import annotations

from penstock_schemas.catalog import Provider, Wire
from penstock_schemas.errors import ConfigurationError
from penstock_worker.providers.anthropic import AnthropicMessages
from penstock_worker.providers.openai_chat import OpenAIChat
from penstock_worker.providers.protocol import Adapter

_ADAPTERS: dict[Wire, Adapter] = {"openai_chat": OpenAIChat(), "anthropic": AnthropicMessages()}


def adapter_for(provider: Provider) -> Adapter:
    """The adapter of a provider's wire. Raises ConfigurationError for one that is not spoken."""
    adapter = _ADAPTERS.get(provider.wire)
    if adapter is None:
        raise ConfigurationError(
            f"provider {provider.name} speaks the {provider.wire} wire, which this worker does "
            "not; route its jobs to another provider"
        )
    return adapter
