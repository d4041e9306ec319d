"""Certificates, users and a web configuration in a directory, for the tests of web security."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import trustme

PASSWORD = "correct horse: é"


def hashed(password: str = PASSWORD, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


class WebFiles:
    """A directory with `server.crt` and `server.key` by `ca.crt`, and `web.yml`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "web.yml"
        self.ca_file = directory / "ca.crt"
        self.renew()

    def renew(self) -> None:
        """Write a new CA and a certificate by it."""
        self.ca = trustme.CA()
        certificate = self.ca.issue_cert("localhost", "127.0.0.1")
        self.ca.cert_pem.write_to_path(self.ca_file)
        (self.directory / "server.crt").write_bytes(certificate.cert_chain_pems[0].bytes())
        (self.directory / "server.key").write_bytes(certificate.private_key_pem.bytes())

    def client(self, *names: str, ca: trustme.CA | None = None) -> tuple[str, str]:
        """Write a client's certificate and return its files."""
        certificate = (ca or self.ca).issue_cert(*names)
        paths = self.directory / "client.crt", self.directory / "client.key"
        paths[0].write_bytes(certificate.cert_chain_pems[0].bytes())
        paths[1].write_bytes(certificate.private_key_pem.bytes())
        return str(paths[0]), str(paths[1])

    def write(self, *, tls: Mapping[str, object] | None = None, **sections: object) -> Path:
        """Write `web.yml`: TLS unless it is None, and the sections given."""
        if tls is not None:
            sections["tls_server_config"] = {"cert_file": "server.crt", "key_file": "server.key", **tls}
        self.path.write_text(json.dumps(sections, ensure_ascii=False))
        return self.path

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))
