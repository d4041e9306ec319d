"""Scrape a process again and again and print how many seconds each scrape took.

Of that, what the process or this one waited for a processor that others had is taken off: it says something of the
machine's load, and nothing of the process. What it waited for locks of its own stays in.
"""

import os
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit


def waited_for_a_processor(pid: int) -> float:
    """Return the seconds so far of a process's first thread, the one that answers."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def scrape(url: str, pid: int) -> float:
    """Return the seconds from connecting to the last byte."""
    parts = urlsplit(url)
    begin = time.monotonic() - waited_for_a_processor(pid) - waited_for_a_processor(os.getpid())
    connection = HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", parts.path)
    reply = connection.getresponse()
    assert reply.status == 200
    reply.read()
    connection.close()
    return time.monotonic() - waited_for_a_processor(pid) - waited_for_a_processor(os.getpid()) - begin


if __name__ == "__main__":
    while True:
        print(scrape(sys.argv[1], int(sys.argv[2])), flush=True)
        time.sleep(0.25)
