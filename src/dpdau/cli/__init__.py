"""The command line: the whole product without a browser or an HTTP client."""

from dpdau.cli.app import app, main

__all__ = ["app", "main"]
