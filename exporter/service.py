"""The running exporter: everything wired together."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from functools import partial

from exporter import signals
from exporter.api.client import Client
from exporter.api.transport import Transport
from exporter.clock import Clock, wall_clock_offset
from exporter.config.loader import ConfigError
from exporter.config.settings import Settings
from exporter.metrics.exposition import Exposition
from exporter.metrics.parts import parts
from exporter.model import Status
from exporter.polling.poller import Poller
from exporter.polling.readiness import not_ready_reason
from exporter.ratelimit.per_key import RateLimiters
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from exporter.web.app import Application, Pages
from exporter.web.auth import SecurityMiddleware
from exporter.web.security import WebSecurity
from exporter.web.server import Server

logger = logging.getLogger(__name__)

_POLLER_ENDS_WITHIN = 0.5


class Service:
    """One exporter. `read_settings` reads the configuration anew; `settings` is what it said first.

    Without `security`, it serves plain HTTP to everybody.
    """

    def __init__(
        self,
        settings: Settings,
        read_settings: Callable[[], Settings],
        limiters: RateLimiters,
        store: Store,
        state: StateDirectory | None,
        clock: Clock,
        telemetry_path: str,
        security: WebSecurity | None = None,
    ) -> None:
        self._settings = settings
        self._read_settings = read_settings
        self._limiters = limiters
        self._state = state
        self._clock = clock
        self._telemetry_path = telemetry_path
        self._security = security
        self._store = store
        self._poller = Poller(settings, self._client(settings), limiters, self._store, clock)
        self._reload_successful = True
        self._reload_success_time = clock.time()
        self._poller_failed = False

    def application(self) -> Application:
        """Return the HTTP side."""
        pages = Pages(
            exposition=Exposition(
                lambda: parts(self._store.snapshot, self.status(), self._clock.time()), self._clock
            ),
            status_page=self._status_page,
            health_problem=lambda: "polling has ended" if self._poller_failed else None,
            not_ready_reason=self._not_ready_reason,
            reload=self.reload,
        )
        return Application(pages, self._telemetry_path)

    async def run(self, sockets: list[socket.socket]) -> int:
        """Poll and serve until a signal says to end. Return the exit status."""
        application = self.application()
        server = (
            Server(SecurityMiddleware(application, self._security), self._security)
            if self._security
            else Server(application)
        )
        loop = asyncio.get_running_loop()
        end = partial(loop.call_soon_threadsafe, server.end)
        polling = threading.Thread(target=self._poll, args=(end,), name="poller", daemon=True)
        with signals.handled(end=end, reload=partial(loop.call_soon_threadsafe, self.reload)):
            polling.start()
            await server.serve(sockets=sockets)
        self._poller.stop()
        polling.join(_POLLER_ENDS_WITHIN)
        logger.info("stopped")
        return 1 if self._poller_failed else 0

    def _poll(self, end: Callable[[], object]) -> None:
        try:
            self._poller.run()
        except Exception:
            self._poller_failed = True
            logger.critical("polling ended by a programming error: stopping", exc_info=True)
            end()

    def status(self) -> Status:
        """Return what there is to know of the exporter itself."""
        return Status(
            poll_interval=self._poller.poll_interval,
            requests_per_minute=self._settings.requests_per_minute,
            requests_last_minute=self._limiters.requests_last_minute(),
            state_writable=self._state is None or self._state.writable,
            reload_successful=self._reload_successful and not (self._security and self._security.problem),
            reload_success_time=self._reload_success_time,
            limit_per_key=self._settings.limit_scope == "account",
            wall_clock_offset=wall_clock_offset(self._clock),
        )

    def _not_ready_reason(self) -> str | None:
        unknown_past = self._limiters.seconds_left_of_unknown_past()
        return not_ready_reason(self._store.snapshot, unknown_past, self._limiters.scope == "account")

    def reload(self) -> str | None:
        """Read both configurations again; one that is invalid changes nothing. Return what is wrong, if anything."""
        problems = (self._reload_settings(), self._security.reload() if self._security else None)
        found = [problem for problem in problems if problem is not None]
        if found:
            return "; ".join(found)
        self._reload_success_time = self._clock.time()
        return None

    def _reload_settings(self) -> str | None:
        try:
            settings = self._read_settings()
        except ConfigError as error:
            self._reload_successful = False
            logger.error("configuration not reloaded", extra={"reason": str(error)})  # noqa: TRY400 - no traceback
            return str(error)
        self._settings = settings
        self._poller.reconfigure(settings, self._client(settings))
        self._reload_successful = True
        logger.info("configuration reloaded", extra={"accounts": len(settings.accounts)})
        return None

    def _client(self, settings: Settings) -> Client:
        return Client(Transport(settings.base_url, self._clock), self._clock, settings.statistics)

    def _status_page(self, account: str | None) -> str:
        from exporter.status_page.page import render  # noqa: PLC0415 - costs memory, and only a view needs it

        return render(
            self._store.snapshot,
            self.status(),
            self._clock.time(),
            self._telemetry_path,
            self._not_ready_reason(),
            account,
        )
