"""Scrape a URL again and again and print how many seconds each scrape took, in a process that does nothing else."""

import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit


def scrape(url: str) -> float:
    """Return the seconds from connecting to the last byte."""
    parts = urlsplit(url)
    begin = time.monotonic()
    connection = HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", parts.path)
    reply = connection.getresponse()
    assert reply.status == 200
    reply.read()
    connection.close()
    return time.monotonic() - begin


if __name__ == "__main__":
    while True:
        print(scrape(sys.argv[1]), flush=True)
        time.sleep(0.25)
