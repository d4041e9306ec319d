"""The running exporter: everything wired together, and the process's signals. No logic of its own."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import PROCESS_COLLECTOR

from exporter.api.client import Client
from exporter.api.transport import Transport
from exporter.clock import Clock
from exporter.config.loader import ConfigError
from exporter.config.settings import Settings
from exporter.durations import format_duration
from exporter.metrics import families as metrics
from exporter.metrics.exposition import Exposition, Part
from exporter.model import Status
from exporter.polling.poller import Poller
from exporter.ratelimit.per_key import RateLimiters
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from exporter.web.app import Application, Pages
from exporter.web.auth import SecurityMiddleware
from exporter.web.repeats import Repeats
from exporter.web.security import WebSecurity
from exporter.web.server import Server

logger = logging.getLogger(__name__)

_POLLER_ENDS_WITHIN = 0.5
_NAMES_SHOWN = 5
_BEFORE_START = "before this start is unknown, so the"
_ENDING = (signal.SIGTERM, signal.SIGINT)


class Service:
    """One exporter. `read_settings` reads the configuration anew; `settings` is what it said first.

    Without `security`, it serves plain HTTP to everybody.
    """

    def __init__(
        self,
        settings: Settings,
        read_settings: Callable[[], Settings],
        limiters: RateLimiters,
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
        self._store = Store(state)
        self._poller = Poller(settings, self._client(settings), limiters, self._store, clock)
        self._reload_successful = True
        self._reload_success_time = clock.time()
        self._poller_failed = False

    def application(self) -> Application:
        """Return the HTTP side."""
        pages = Pages(
            exposition=Exposition(self.parts, self._clock),
            status_page=self._status_page,
            healthy=lambda: "polling has ended" if self._poller_failed else "",
            ready=self.not_ready_reason,
            reload=self.reload,
        )
        return Application(pages, self._telemetry_path)

    async def run(self, sockets: list[socket.socket]) -> int:
        """Poll and serve until a signal says to end. Return the exit status."""
        application = self.application()
        # With security, no reply is repeated: who may see it can change between two requests.
        server = (
            Server(SecurityMiddleware(application, self._security), self._security)
            if self._security
            else Server(application, repeats=Repeats(application))
        )
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.call_soon_threadsafe(server.end)

        # Not the loop's own handlers: removing those leaves a moment in which a second signal kills.
        for number in _ENDING:
            signal.signal(number, lambda *_: end())
        signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(self.reload))
        polling = threading.Thread(target=self._poll, args=(end,), name="poller", daemon=True)
        polling.start()
        await server.serve(sockets=sockets)
        for number in (*_ENDING, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._poller.stop()
        polling.join(_POLLER_ENDS_WITHIN)
        logger.info("stopped")
        return 1 if self._poller_failed else 0

    def _poll(self, end: Callable[[], object]) -> None:
        try:
            self._poller.run()
        except Exception:
            self._poller_failed = True
            logger.critical("polling ended by an error of the program: stopping", exc_info=True)
            end()

    def parts(self) -> Iterator[Part]:
        """Yield all metrics as they are now, account by account."""
        status = self._status()
        offset = status.wall_clock_offset
        snapshot = self._store.snapshot
        for account in snapshot:
            yield Part(
                ("account", account.name), partial(metrics.of_accounts, (account,), offset), (account, offset)
            )
        # By itself, because it is never the same again, and the accounts' other families seldom change.
        yield Part("month", lambda: [metrics.of_running_month(snapshot, self._clock.time())])
        yield Part("exporter", partial(metrics.of_exporter, status), status)
        yield Part("process", PROCESS_COLLECTOR.collect)

    def _status(self) -> Status:
        return Status(
            poll_interval=self._poller.poll_interval,
            requests_per_minute=self._settings.requests_per_minute,
            requests_last_minute=self._limiters.requests_last_minute(),
            state_writable=self._state is None or self._state.writable,
            reload_successful=self._reload_successful and not (self._security and self._security.problem),
            reload_success_time=self._reload_success_time,
            limit_per_key=self._settings.limit_scope == "account",
            # Rounded, it is the same as long as nobody steps the clock.
            wall_clock_offset=round(self._clock.time() - self._clock.monotonic(), 1),
        )

    def not_ready_reason(self) -> str:
        """Say which accounts have no figures yet, and why; nothing once all have."""
        without = [a for a in self._store.snapshot if a.parent is None and not a.has_figures]
        if not without:
            return ""
        names = [account.name for account in without if account.name is not None]
        shown = ", ".join(names[:_NAMES_SHOWN])
        if len(names) > _NAMES_SHOWN:
            shown += f" and {len(names) - _NAMES_SHOWN} more"
        reasons = sorted(
            {poll.reason for account in without for poll in account.polls.values() if poll.reason}
        )
        parts = [f"no figures yet{f' of {shown}' if shown else ''}"]
        if reasons:
            parts.append(f"polling fails: {', '.join(reasons)}")
        elif seconds := self._limiters.seconds_left_of_unknown_past():
            what = (
                "with a key before is unknown, so its" if self._limiters.scope == "account" else _BEFORE_START
            )
            parts.append(f"what was requested {what} first request waits: {format_duration(seconds)} left")
        return "; ".join(parts)

    def reload(self) -> str:
        """Read both configurations again; one that is invalid changes nothing. Return what is wrong, if anything."""
        problems = (self._reload_settings(), self._security.reload() if self._security else None)
        problem = "; ".join(one for one in problems if one)
        if not problem:
            self._reload_success_time = self._clock.time()
        return problem

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
            self._status(),
            self._clock.time(),
            self._telemetry_path,
            self.not_ready_reason(),
            account,
        )
