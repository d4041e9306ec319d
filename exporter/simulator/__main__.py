"""The simulated API by itself: ``python -m exporter.simulator --port PORT``."""

import argparse
import signal
import sys
from collections.abc import Sequence

from exporter.simulator.api import Options
from exporter.simulator.simulator import MODES, Fault, Simulator, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Prints the base URL once it listens; returns the exit status."""
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
    add("--seed", type=int, default=0, help="other figures for the same key")
    add("--misbehave", choices=MODES, default="ok", metavar="MODE", help=f"one of {', '.join(MODES)}")
    add("--seconds", type=float, default=1.0, help="of slow, and between the bytes of drip_*; default: 1")
    add("--redirect-to", default=Fault.redirect_to, metavar="URL", help="of redirect")
    add("--requests-per-minute", type=int, default=5, metavar="N", help="default: 5; 0: no limit")
    add("--limit-per-key", action="store_true", help="count the limit for each key")
    add("--retry-after", type=int, metavar="SECONDS", help="send Retry-After with a 429")
    add("--no-running-month", action="store_true", help="last_twelve_months ends with the month before")
    add("--custom-granularity", choices=("auto", "day", "month"), default="auto", help="default: auto")
    add("--no-zero-entries", action="store_true", help="leave out days and months without SMS")
    add("--error-status", choices=("mixed", "200", "4xx"), default="mixed", help="default: 200, but 429")
    add("--french", action="store_true", help="error messages in French")
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        # Not as they are: a misplaced key may be among them.
        names = [word.partition("=")[0] for word in unknown if word.startswith("--")]
        parser.error(f"not understood: {', '.join(names) or 'an argument without an option'}")
    options = Options(
        requests_per_minute=arguments.requests_per_minute or None,
        limit_per_key=arguments.limit_per_key,
        retry_after=arguments.retry_after,
        running_month=not arguments.no_running_month,
        custom_granularity=arguments.custom_granularity,
        zero_entries=not arguments.no_zero_entries,
        error_status=arguments.error_status,
        french=arguments.french,
    )
    simulator = Simulator(arguments.api_key, seed=arguments.seed, options=options)
    fault = {name: getattr(arguments, name) for name in ("misbehave", "seconds", "redirect_to")}
    try:
        simulator.order(**fault)
    except ValueError as problem:
        parser.error(str(problem))

    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)  # before any thread starts, so that sigwait gets them
    try:
        with serve(simulator, arguments.host, arguments.port) as server:
            print(server.base_url, flush=True)
            signal.sigwait(endings)
    except (OSError, OverflowError) as problem:
        print(f"simulator: cannot listen on {arguments.host}:{arguments.port}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
