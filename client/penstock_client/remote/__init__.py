"""Penstock over its own HTTP API, for producers that do not reach Redis and Postgres."""
