"""A server with a certificate that nobody vouches for gets no request, so no token."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.crawling import Crawling

pytestmark = pytest.mark.slow


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    requests = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of handshakes that the client refuses."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.requests += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def _self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextmanager
def serving(path: Path) -> Iterator[_Server]:
    """Serve with a certificate of our own making, which is kept at `path`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(path))
    with _Server(("127.0.0.1", 0), _Handler) as running:
        # The handshake in the handler's thread: who says nothing holds up nobody else.
        running.socket = context.wrap_socket(
            running.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    with serving(tmp_path / "server.pem") as running:
        yield running


def test_unknown_certificate(server: _Server, tmp_path: Path) -> None:
    crawling = Crawling(tmp_path / "store")
    crawling.environment["MAPILLARY_TOKEN"] = "MLY|1234567890123456|" + "0" * 32
    crawling.environment["MAPILLARY_API_URL"] = f"https://localhost:{server.server_port}"
    result = crawling.run("-s", "API_PATIENCE=2", username="alice", check_ia=0)
    assert result.code == 7, result.output
    assert server.requests == 0
