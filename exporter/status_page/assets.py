"""What the page for people needs besides its HTML: style sheet, script, and the policy that allows nothing else."""

import base64
import hashlib
from importlib.resources import files

SCRIPT = files(__package__).joinpath("page.js").read_bytes()
"""Shows instants in the reader's time zone. Served at `SCRIPT_PATH`, because the policy allows no inline script."""
SCRIPT_PATH = "/-/page.js"

STYLE = files(__package__).joinpath("page.css").read_text("utf-8")
"""Stands inside the page, where the policy allows it by its hash."""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; script-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
