"""The web configuration in use. It is read again when one of its files changes, and taken whole or not at all."""

import logging
import ssl
from pathlib import Path

from exporter.config.loader import ConfigError
from exporter.validation import SchemaError
from exporter.web import config as web_config
from exporter.web import tls
from exporter.web.config import TlsConfig, WebConfig

logger = logging.getLogger(__name__)

_SECONDS_AT_COST_10 = 0.07
_Fingerprint = tuple[int, int, int] | None


class WebSecurity:
    """A web configuration file and the certificates it names. Raises ConfigError if they cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fingerprints: dict[Path, _Fingerprint] = {}
        self._problem: str | None = None
        self._config, self._context = self._read(None)
        self._warn_of_slow_logins()

    @property
    def config(self) -> WebConfig:
        """The configuration as it is now."""
        self._reload_if_changed()
        return self._config

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context for new connections; None for plain HTTP."""
        self._reload_if_changed()
        return self._context

    @property
    def problem(self) -> str | None:
        """Why the files, as they are now, are not in use; None if they are."""
        self._reload_if_changed()
        return self._problem

    def allows_client(self, connection: ssl.SSLObject) -> bool:
        """Say whether a client may go on after its handshake, in which its certificate was verified."""
        config = self._config.tls
        return config is None or tls.allows_client(config, connection.getpeercert())

    def _reload_if_changed(self) -> None:
        if any(_fingerprint(path) != fingerprint for path, fingerprint in self._fingerprints.items()):
            self.reload()

    def reload(self) -> str | None:
        """Read the files again. Return why they cannot be used, in which case nothing changes."""
        try:
            config, context = self._read(self._config)
        except ConfigError as error:
            self._problem = str(error)
            logger.error("web configuration not reloaded", extra={"reason": str(error)})  # noqa: TRY400 - no traceback
            return self._problem
        self._problem = None
        self._config, self._context = config, context
        logger.info("web configuration reloaded", extra={"users": len(config.users)})
        self._warn_of_slow_logins()
        return None

    def _warn_of_slow_logins(self) -> None:
        for user, cost in self._config.slow_users.items():
            logger.warning(
                "the first login is slow because the bcrypt cost is high: 10 to 12 is usual",
                extra={
                    "user": user,
                    "cost": cost,
                    "seconds": round(_SECONDS_AT_COST_10 * 2 ** (cost - 10), 1),
                },
            )

    def _read(self, current: WebConfig | None) -> tuple[WebConfig, ssl.SSLContext | None]:
        # Fingerprints come first: a file that changes while it is read is read once more.
        self._fingerprints = {path: _fingerprint(path) for path in (self._path, *self._fingerprints)}
        config = web_config.load(self._path)
        files = config.tls.files if config.tls else ()
        self._fingerprints = {
            self._path: self._fingerprints[self._path],
            **{path: _fingerprint(path) for path in files},
        }
        try:
            if current:
                _check_not_weaker(current, config)
            return config, tls.build_context(config.tls) if config.tls else None
        except SchemaError as error:
            raise ConfigError(f"{self._path}: {error}") from None


def _check_not_weaker(old: WebConfig, new: WebConfig) -> None:
    """Refuse to weaken the security of a running process: a half-written file looks just like that."""
    if (old.tls is None) != (new.tls is None):
        raise SchemaError("tls_server_config", "cannot be added or removed without a restart")
    if old.users and not new.users:
        raise SchemaError("basic_auth_users", "cannot be emptied without a restart")
    if _strictness(new.tls) < _strictness(old.tls):
        raise SchemaError(
            "tls_server_config", "client certificates cannot be checked less strictly without a restart"
        )


def _strictness(config: TlsConfig | None) -> tuple[int, bool]:
    if config is None:
        return (0, False)
    return (config.client_verification, config.client_allowed_sans is not None)


def _fingerprint(path: Path) -> _Fingerprint:
    """Return a value that changes with the file; None if there is none. It follows links: Kubernetes swaps them."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_ino, status.st_size, status.st_ctime_ns)
