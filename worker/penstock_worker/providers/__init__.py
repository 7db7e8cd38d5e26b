"""Provider adapters and the one HTTP sender that carries their calls."""
