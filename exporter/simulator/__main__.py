"""The simulated API by itself: ``python -m exporter.simulator --port PORT``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from queue import SimpleQueue

from exporter import signals
from exporter.simulator.server import Answer
from exporter.simulator.simulator import Simulator, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate the API until SIGTERM or SIGINT. Return the exit status."""
    parser = argparse.ArgumentParser(
        prog="simulator",
        usage=argparse.SUPPRESS,  # so that an error is one line
        description="A simulated SMS Partner API: python -m exporter.simulator --port PORT [options]",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="default: %(default)s")
    add("--port", type=int, required=True, help="0 takes a free one")
    add(
        "--api-key", action="append", metavar="KEY", help="accept this key only; repeatable; default: any key"
    )
    add("--requests-per-minute", type=int, default=5, metavar="N", help="default: 5; 0: no limit")
    add("--limit-per-key", action="store_true", help="count the limit for each key")
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        # Not as they are: a misplaced key may be among them.
        names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
        parser.error(f"not understood: {', '.join(names) or 'an argument without an option'}")
    simulator = Simulator(
        arguments.api_key,
        requests_per_minute=arguments.requests_per_minute or None,
        limit_per_key=arguments.limit_per_key,
    )
    return serve_until_signal(simulator.answer, arguments.host, arguments.port)


def serve_until_signal(answer: Answer, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT. Print the base URL once it listens; return the exit status."""
    ended: SimpleQueue[None] = SimpleQueue()
    try:
        with signals.handled(end=partial(ended.put, None)), serve(answer, host, port) as server:
            print(server.base_url, flush=True)
            ended.get()
    except (OSError, OverflowError) as problem:
        print(f"simulator: cannot listen on {host}:{port}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
