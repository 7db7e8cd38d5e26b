"""Pipelines: what carries runs on, and the pools that call COMPUTE functions."""
