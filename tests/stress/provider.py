"""A provider far away: what is sent to it travels for a while, and arrives whether or not its sender still lives."""

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from exporter.simulator.api import SimulatedReply, page
from exporter.simulator.server import SimulatedServer
from exporter.simulator.simulator import Simulator
from tests.stress.arrivals import Arrival

Spoil = Callable[[SimulatedReply, random.Random], SimulatedReply | None]
"""From the reply as it should be to the reply as it is; None: it never comes."""

NOWHERE = (0.0, 0.0)


class Provider:
    """The simulated API behind a network. It takes every request that reached its socket, and limits nothing itself.

    `inwards` and `outwards` are the least and the most seconds that a request and a reply are under way.
    """

    def __init__(
        self,
        seed: int,
        inwards: tuple[float, float] = (0, 2),
        outwards: tuple[float, float] = NOWHERE,
        spoil: Spoil = lambda reply, _: reply,
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.delays: list[float] = []
        """How long each exchange took for the network alone."""
        self.under_way = threading.Event()
        """Set when a request was sent, before it arrives."""
        self._dice = random.Random(seed)
        self._inwards, self._outwards = inwards, outwards
        self._spoil = spoil
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._simulator = Simulator(requests_per_minute=None)
        self._server = SimulatedServer(self._answer, "127.0.0.1", 0)
        self.base_url = self._server.base_url
        self.address = ("127.0.0.1", int(self._server.server_address[1]))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _answer(self, method: str, target: str, body: bytes) -> SimulatedReply:
        with self._lock:
            there, back = self._dice.uniform(*self._inwards), self._dice.uniform(*self._outwards)
            self.delays.append(there + back)
        self.under_way.set()
        time.sleep(there)
        key = parse_qs(urlsplit(target).query).get("apiKey", [""])[0]
        with self._lock:
            self.arrivals.append(Arrival(time.monotonic(), key))
            reply = self._spoil(self._simulator.answer(method, target, body), self._dice)
        time.sleep(back)
        if reply is None:
            self._ended.wait()
            return page(503)
        return reply

    def end(self) -> None:
        """Stop listening. What is under way arrives first."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


class Relay:
    """A network between the exporter and the provider: bytes arrive late and in order, also those of the dead."""

    def __init__(self, target: tuple[str, int], seed: int, delay: tuple[float, float] = (0, 2)) -> None:
        self._target = target
        self._dice = random.Random(seed)
        self._delay = delay
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self._target) as far:
            back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
            back.start()
            self._carry(near, far)
            back.join()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self._dice.uniform(*self._delay))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
