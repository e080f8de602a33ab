"""The product on a database against plain sets: any order of events, erasures, releases, restarts."""

from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from dpdau.application import Application
from integration.test_state_machine import Product
from support import EXACT, application
from support.postgres import PostgresServer


@pytest.mark.slow
def test_the_product_is_the_same_on_a_database(database_server: PostgresServer) -> None:
    class OnDatabase(Product):
        server: ClassVar[PostgresServer] = database_server
        url: str | None = None

        def open(self) -> Application:
            self.url = self.url or self.server.new_schema()
            return application(
                self.directory,
                clock=self.clock,
                lateness_hours=0,
                service_database_url=self.url,
                **EXACT,
            )

    run_state_machine_as_test(
        OnDatabase, settings=settings(max_examples=8, stateful_step_count=20, deadline=None)
    )
