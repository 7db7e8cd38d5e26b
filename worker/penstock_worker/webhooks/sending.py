"""One attempt to deliver: resolve, refuse what is not allowed, connect to that very address, post.

The address that was looked at is the one that is connected to, so a name that leads elsewhere a
moment later is of no use to anybody. No redirect is followed, and of an answer nothing but its
head is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final, Protocol

import httpx

from penstock_client.webhooks.addresses import (
    PRIVATE_VARIABLE,
    Address,
    Private,
    allowed,
    literal,
)
from penstock_worker.webhooks.schedule import Outcome, of_status

#: For everything: the name, the connection, the answer.
TIMEOUT_S: Final = 10.0
CONNECT_S: Final = 4.0
#: Of a host's addresses so many are tried.
_TRIED = 3
#: Names that are looked up at the same time.
_RESOLVERS = 16
_USER_AGENT = "Penstock-Webhooks/1"


class Resolve(Protocol):
    """Looks up the addresses of a host; raises OSError."""

    async def __call__(self, host: str, port: int) -> Sequence[Address]: ...


class Resolver:
    """This machine's resolver, in threads of its own: names that take long hold up nobody else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="penstock-webhooks")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """A host's addresses, IPv4 first: not every network has a way out for the other."""
        known = literal(host)
        if known is not None:
            return [known]
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        addresses = {ipaddress.ip_address(str(row[4][0]).partition("%")[0]): None for row in found}
        return sorted(addresses, key=lambda address: address.version)


class Sending:
    """Posts payloads. Keeps no connection: the next one may be of somebody else at that address."""

    def __init__(
        self,
        *,
        private: Private,
        timeout_s: float = TIMEOUT_S,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._private: Private = private
        self._timeout_s = timeout_s
        self._resolve = resolve or Resolver()
        self._client = httpx.AsyncClient(
            verify=tls or httpx.create_ssl_context(),
            limits=httpx.Limits(max_keepalive_connections=0, max_connections=None),
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            follow_redirects=False,
            trust_env=False,  # a proxy would connect to what is refused here
        )

    async def aclose(self) -> None:
        """Close connections; attempts under way fail."""
        await self._client.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Make one attempt; never raises for what networks and receivers do."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(httpx.URL(url), body, headers)
        except TimeoutError:
            return Outcome(problem=f"no answer within {self._timeout_s:g} s")
        except httpx.TimeoutException:
            return Outcome(problem="it did not answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Outcome(problem=_told(error))

    async def _post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> Outcome:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._resolve(url.host, port)
        except (OSError, UnicodeError):
            return Outcome(problem=f"the name {url.host} leads nowhere")
        usable = allowed(found, scheme=url.scheme, private=self._private)[:_TRIED]
        if not usable:
            return Outcome(problem=self._refusal(url, found))
        for address in usable[:-1]:
            try:
                return await self._post_to(address, url, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent
        return await self._post_to(usable[-1], url, body, headers)

    async def _post_to(
        self, address: Address, url: httpx.URL, body: bytes, headers: Mapping[str, str]
    ) -> Outcome:
        request = self._client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={
                **headers,
                "host": url.netloc.decode("ascii"),
                "content-type": "application/json",
                "user-agent": _USER_AGENT,
                "accept-encoding": "identity",
                "connection": "close",
            },
            extensions={"sni_hostname": url.host},
        )
        response = await self._client.send(request, stream=True)
        try:
            return of_status(
                response.status_code,
                retry_after=response.headers.get("retry-after"),
                now=datetime.now(UTC),
            )
        finally:
            await response.aclose()  # its status is all that counts

    def _refusal(self, url: httpx.URL, found: Sequence[Address]) -> str:
        if not found:
            return f"the name {url.host} leads nowhere"
        if url.scheme != "https" and self._private == "allow":
            return f"{url.host} is a public address, which needs https://"
        return (
            f"{url.host} leads to {found[0]}, which is not public; {PRIVATE_VARIABLE}=allow "
            "allows that"
        )


def _told(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:300]
