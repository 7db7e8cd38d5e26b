"""Where webhooks may lead to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from pydantic import ValidationError

from penstock_client import Generate, InvalidJob
from penstock_client.webhooks.addresses import allowed, check_webhook, is_public

PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_is_public_refuses(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_is_public_takes(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("scheme", "private", "left"),
    [
        ("https", "refuse", ["1.1.1.1"]),
        ("https", "allow", ["10.0.0.1", "1.1.1.1"]),
        ("http", "allow", ["10.0.0.1"]),
        ("http", "refuse", []),
    ],
)
def test_allowed_leaves_what_may_be_connected_to(scheme: str, private, left: list[str]) -> None:
    both = [ip_address("10.0.0.1"), ip_address("1.1.1.1")]
    assert [str(each) for each in allowed(both, scheme=scheme, private=private)] == left


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://localhost:8443/",
        "https://LOCALHOST./",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_check_webhook_refuses_what_leads_inside(url: str) -> None:
    with pytest.raises(InvalidJob) as caught:
        check_webhook(url, private="refuse")
    assert caught.value.field == "webhook"


@pytest.mark.parametrize("url", ["https://example.com/hook?token=1", "https://1.1.1.1:8443/"])
def test_check_webhook_takes_what_is_public(url: str) -> None:
    check_webhook(url, private="refuse")


def test_check_webhook_wants_https_for_public_addresses_everywhere() -> None:
    check_webhook("http://10.0.0.1/", private="allow")
    with pytest.raises(InvalidJob, match="https"):
        check_webhook("http://1.1.1.1/", private="allow")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/",
        "https://",
        "https:///hook",
        "https://user:secret@example.com/",
        "https://example.com/#part",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://exämple.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://example.com\\@127.0.0.1/",
        "https://[::1/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_job_refuses_what_is_no_webhook(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Generate(workspace="acme", prompt="Hi", webhook=url)
    assert caught.value.errors()[0]["loc"] == ("webhook",)
    assert "secret" not in str(caught.value)
