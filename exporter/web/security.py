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

_Fingerprint = tuple[int, int, int] | None


class WebSecurity:
    """A web configuration file and the certificates it names. Raises ConfigError if they cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fingerprints: dict[Path, _Fingerprint] = {}
        self._config, self._context = self._read()

    @property
    def config(self) -> WebConfig:
        """The configuration as it is now."""
        self._read_again_if_changed()
        return self._config

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context for new connections; None for plain HTTP."""
        self._read_again_if_changed()
        return self._context

    def allows_client(self, connection: ssl.SSLObject) -> bool:
        """Say whether a client may go on after its handshake, in which its certificate was verified."""
        config = self._config.tls
        return config is None or tls.allows_client(config, connection.getpeercert())

    def _read_again_if_changed(self) -> None:
        if all(_fingerprint(path) == fingerprint for path, fingerprint in self._fingerprints.items()):
            return
        try:
            config, context = self._read()
            _check_not_weaker(self._config, config)
        except ConfigError as error:
            logger.error("web configuration not reloaded", extra={"reason": str(error)})  # noqa: TRY400 - no traceback
            return
        self._config, self._context = config, context
        logger.info("web configuration reloaded", extra={"users": len(config.users)})

    def _read(self) -> tuple[WebConfig, ssl.SSLContext | None]:
        # Fingerprints come first: a file that changes while it is read is read once more.
        self._fingerprints = {path: _fingerprint(path) for path in (self._path, *self._fingerprints)}
        config = web_config.load(self._path)
        if config.tls is None:
            return config, None
        self._fingerprints = {path: _fingerprint(path) for path in (self._path, *config.tls.files)}
        try:
            return config, tls.build_context(config.tls)
        except SchemaError as error:
            raise ConfigError(f"{self._path}: {error}") from None


def _check_not_weaker(old: WebConfig, new: WebConfig) -> None:
    """Refuse to weaken the security of a running process: a half-written file looks just like that."""
    if (old.tls is None) != (new.tls is None):
        raise ConfigError("TLS cannot be turned on or off without a restart")
    if old.users and not new.users:
        raise ConfigError("basic_auth_users cannot be emptied without a restart")
    if _strictness(new.tls) < _strictness(old.tls):
        raise ConfigError("client certificates cannot be asked for less strictly without a restart")


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
