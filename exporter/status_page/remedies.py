"""What can fail, in plain words, and what the reader of the page can do about it."""

from collections.abc import Mapping
from typing import NamedTuple

from exporter.model import Reason


class Advice(NamedTuple):
    """A `problem` in a few words, without a full stop, and `what_to_do` in whole sentences. Both are plain text."""

    problem: str
    what_to_do: str


_RETRIES = "The exporter tries again by itself, at least every 10 minutes."

REMEDIES: Mapping[Reason, Advice] = {
    Reason.KEY_REJECTED: Advice(
        "the API key is rejected",
        "Get a valid key from the SMS Partner account. If the exporter reads it from a key file, write it there: the "
        "new key is tried within seconds. Under systemd (LoadCredential), also restart the exporter; if the file is "
        "mounted by itself, recreate the container. If the key is in the configuration, change it there and reload "
        "(SIGHUP). If it is in the environment, restart the exporter with the new key. The rejected key is tried again "
        "once an hour.",
    ),
    Reason.ACCESS_DENIED: Advice(
        "access to the API is denied",
        "The account is disabled or blocked, may not use the API, or allows only certain IP addresses, and "
        "the exporter's is not one of them. Change that in the SMS Partner account or ask SMS Partner's support. "
        "The exporter tries again once an hour, and at once after a restart or with another key.",
    ),
    Reason.RATE_LIMITED: Advice(
        "the API received too many requests",
        "If limit_scope is account, set it back to all: SMS Partner may count all keys together. Otherwise something "
        "else uses the same key or the same IP address. Find it. If it is another exporter, set requests_per_minute to "
        "2 in both. The exporter tries again when SMS Partner allows it.",
    ),
    Reason.SERVER_ERROR: Advice(
        "SMS Partner's server reports an error",
        f"{_RETRIES} If it lasts for hours, ask SMS Partner's support and quote the error above.",
    ),
    Reason.UNREACHABLE: Advice(
        "the API cannot be reached",
        "Check on the exporter's machine that the host in base_url resolves and accepts connections: DNS, firewall, "
        f"proxy and TLS certificates. {_RETRIES}",
    ),
    Reason.TIMEOUT: Advice(
        "the API does not answer in time",
        f"{_RETRIES} If it lasts, check the network between the exporter and SMS Partner, or raise timeout in the "
        "configuration.",
    ),
    Reason.INVALID_REPLY: Advice(
        "the API's reply cannot be understood",
        "Check base_url, and that no proxy or login page answers instead of the API. If the reply does come from SMS "
        "Partner, its format has changed: look for a newer version of the exporter. Such a reply changes no figure. "
        f"{_RETRIES}",
    ),
}

STATE_NOT_WRITABLE = Advice(
    "The state directory cannot be written",
    "After a restart, the figures would be lost and the first request would have to wait. The log names the directory "
    "and the cause. Free some space, or make the directory writable for the exporter's user.",
)

RELOAD_FAILED = Advice(
    "The configuration was not reloaded",
    "The exporter keeps the previous one. The log and smspartner-exporter --config.check with the same flags say what "
    "is wrong. Correct it and reload again (SIGHUP). A web configuration that turns TLS on or off, checks client "
    "certificates less strictly or removes all users is valid, but needs a restart.",
)
