"""The worker: pools that run queued LLM calls against one provider each."""
