"""The HTTP service: the product for programs and people on other machines."""

from dpdau.service.app import create_app
from dpdau.service.server import serve, server_config

__all__ = ["create_app", "serve", "server_config"]
