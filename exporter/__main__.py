"""Lets ``python -m exporter`` do what the command ``smspartner-exporter`` does."""

import sys

from exporter.cli import main

sys.exit(main())
