"""The simulated API that misbehaves, as a process: ``python -m tests.support.simulator``."""

import argparse
import sys
import typing

from exporter.simulator.__main__ import serve_until_signal
from tests.support.simulator import MisbehavingSimulator, Mode

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--api-key", action="append")
parser.add_argument("--misbehave", choices=typing.get_args(Mode), default="ok")
parser.add_argument("--requests-per-minute", type=int, default=5)
parser.add_argument("--limit-per-key", action="store_true")
arguments = parser.parse_args()
simulator = MisbehavingSimulator(
    arguments.api_key,
    requests_per_minute=arguments.requests_per_minute or None,
    limit_per_key=arguments.limit_per_key,
)
simulator.order(misbehave=arguments.misbehave)
sys.exit(serve_until_signal(simulator.answer, "127.0.0.1", arguments.port))
