"""HTTPS to an address that was looked at: the certificate has to be the name's all the same."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from penstock_worker.webhooks.sending import Sending
from tests.webhooks.receiver import Receiver

HOST = "hooks.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `hooks.example` alone, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


async def here(host: str, port: int) -> list[IPv4Address]:
    return [IPv4Address("127.0.0.1")]


@pytest.mark.parametrize(
    ("host", "delivered"), [(HOST, True), ("other.example", False), ("127.0.0.1", False)]
)
async def test_certificate_has_to_be_the_names(
    certificate: Path, host: str, delivered: bool
) -> None:
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    asked: list[str | None] = []
    serving.sni_callback = lambda _, name, __: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with Receiver(tls=serving) as receiver:
        sending = Sending(private="allow", resolve=here, tls=trusting)
        outcome = await sending.post(f"https://{host}:{receiver.port}/", b"{}", {})
        await sending.aclose()
    assert (outcome.problem is None) is delivered
    assert len(receiver.got) == delivered
    if delivered:
        assert asked == [HOST]
    else:
        assert "certificate" in str(outcome.problem).lower()


async def test_certificate_of_nobody_known_is_refused(certificate: Path) -> None:
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    async with Receiver(tls=serving) as receiver:
        sending = Sending(private="allow", resolve=here)
        outcome = await sending.post(f"https://{HOST}:{receiver.port}/", b"{}", {})
        await sending.aclose()
    assert "certificate" in str(outcome.problem).lower()
