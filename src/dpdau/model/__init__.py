"""Frozen values that the whole product speaks in; no input, no output, no settings."""
