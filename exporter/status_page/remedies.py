"""What fails, in plain words, and what whoever reads it can do about it."""

from collections.abc import Mapping
from typing import NamedTuple

from exporter.model import Reason


class Advice(NamedTuple):
    """A `problem` in a few words, without a full stop, and `what_to_do` in whole sentences. Both are plain text."""

    problem: str
    what_to_do: str


REMEDIES: Mapping[Reason, Advice] = {
    Reason.KEY_REJECTED: Advice(
        "the API key is rejected",
        "Check the key in the SMS Partner account and put the right one into the key file: it is tried within "
        "seconds of the file's change. A key that stands in the configuration is tried once that is reloaded (SIGHUP), "
        "one from the environment after a restart. The rejected key itself is tried again once an hour.",
    ),
    Reason.ACCESS_DENIED: Advice(
        "access to the API is denied",
        "The account is disabled or blocked, may not use the API, or has a list of allowed addresses on which this "
        "machine's is missing. Settle that in the SMS Partner account or with SMS Partner's support. "
        "It is tried again once an hour, and at once after a restart of the exporter or with another key.",
    ),
    Reason.RATE_LIMITED: Advice(
        "the API got too many requests",
        "The exporter alone stays below the limit, so something else uses this key or this address too. "
        "Find it; where it is another exporter, lower requests_per_minute in both (2 each). "
        "It is tried again when SMS Partner allows it.",
    ),
    Reason.SERVER_ERROR: Advice(
        "SMS Partner's server reports an error",
        "Nothing has to be done at first: it is tried again by itself, at least every 10 minutes. "
        "Where it lasts for hours, ask SMS Partner's support, and quote what is said above.",
    ),
    Reason.UNREACHABLE: Advice(
        "the API cannot be reached",
        "Check from this machine that the host in base_url resolves and can be reached: DNS, firewall, proxy "
        "and the machine's TLS certificates. It is tried again by itself, at least every 10 minutes.",
    ),
    Reason.TIMEOUT: Advice(
        "the API does not answer in time",
        "Nothing has to be done at first: it is tried again by itself, at least every 10 minutes. "
        "Where it lasts, look at the network in between, or raise timeout in the configuration.",
    ),
    Reason.INVALID_REPLY: Advice(
        "the API's reply makes no sense",
        "Check base_url, and that no proxy or login page answers in the API's place. If the reply does come from "
        "SMS Partner, its format has changed: see whether there is a newer version of the exporter. "
        "Nothing of such a reply is shown as a figure. It is tried again by itself, at least every 10 minutes.",
    ),
}

STATE_NOT_WRITABLE = Advice(
    "The state directory cannot be written",
    "Figures and pace will not survive a restart. The log names the directory and the cause: "
    "make room there, or make it writable for the user the exporter runs as.",
)

RELOAD_FAILED = Advice(
    "The configuration was not reloaded",
    "It is invalid, so the exporter goes on with the one it had. The log says what is wrong, and so does "
    "smspartner-exporter --config.check. Mend it and reload again (SIGHUP).",
)
