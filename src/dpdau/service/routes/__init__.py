"""The routes, one module a subject."""

from dpdau.service.routes import admin, budget, erasures, events, health, releases

__all__ = ["ROUTERS"]

ROUTERS = (
    events.router,
    releases.router,
    budget.router,
    erasures.router,
    admin.router,
    health.router,
)
