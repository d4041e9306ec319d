"""The exporter without Python's garbage collector. At SIGUSR1 it prints what its connections left in memory.

It runs as a file or as the text of one, so that it can be used where these tests are not.
"""

import asyncio
import gc
import re
import signal
import ssl
from pathlib import Path

from exporter.__main__ import main
from exporter.web.connection import Connection
from exporter.web.tls_transport import TlsSession, TlsTransport

# asyncio's own transport is not among them. It refers to itself, and waits for the collector with its 1 KB.
KINDS = (Connection, TlsSession, TlsTransport, ssl.SSLObject, asyncio.Task)


def report(*_: object) -> None:
    objects = sum(isinstance(each, KINDS) for each in gc.get_objects())
    resident = re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0]
    print(f"objects={objects} resident_kb={resident}", flush=True)


if __name__ == "__main__":
    gc.disable()
    signal.signal(signal.SIGUSR1, report)
    main()
