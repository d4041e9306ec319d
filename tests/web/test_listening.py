"""The listening socket, as the connections that come in through it find it."""

import socket

from exporter.web.server import listen


def test_replies_are_not_held_back_for_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
