"""The routes, one module a subject."""

from dpdau.service.routes import (
    admin,
    budget,
    dashboard,
    erasures,
    events,
    health,
    identity,
    operations,
    plans,
    releases,
)

__all__ = ["ROUTERS"]

ROUTERS = (
    events.router,
    releases.router,
    plans.router,
    budget.router,
    erasures.router,
    admin.router,
    operations.router,
    identity.router,
    dashboard.router,
    health.router,
)
