"""Pipelines: skills that are declared once, and their runs."""
