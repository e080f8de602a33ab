"""The routes, one module a subject."""

from dpdau.service.routes import admin, budget, erasures, events, health, plans, releases

__all__ = ["ROUTERS"]

ROUTERS = (
    events.router,
    releases.router,
    plans.router,
    budget.router,
    erasures.router,
    admin.router,
    health.router,
)
