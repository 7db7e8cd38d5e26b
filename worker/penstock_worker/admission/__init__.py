"""Admission: what decides, on Redis and in one atomic script, which jobs may start now."""
