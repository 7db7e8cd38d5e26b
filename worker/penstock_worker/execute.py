"""The life of one attempt: plan -> send -> parse -> decide -> a settlement. Reads top to bottom.

Whatever happens, an attempt ends in exactly one settlement; nothing here writes anywhere.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from pydantic import ValidationError

from penstock_schemas.catalog import Catalog, Model, Provider
from penstock_schemas.deltas import Delta
from penstock_schemas.errors import PenstockError, ProviderError
from penstock_schemas.jobs import Classify, Embed, Envelope, TextJob
from penstock_schemas.keys import KEY_CHECK
from penstock_schemas.pricing import TokenPrices, token_prices
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.attempts import Attempt, Settlement
from penstock_worker.budgets import cut_by_budget, told_of_budget
from penstock_worker.credentials import Access, Accesses, NoPlatformKey
from penstock_worker.ending import Progress, cut_off, failed, returned, succeeded
from penstock_worker.keyring import CannotOpen
from penstock_worker.observing import Observer
from penstock_worker.outcome import POISON_CRASHES, Fail, Outcome, decide
from penstock_worker.providers.http import Sender, Timeout, possibly_sent
from penstock_worker.providers.protocol import Adapter, Answer, Built, Call
from penstock_worker.providers.registry import adapter_for

logger = logging.getLogger("penstock.worker")

SIMULATED_HEADER = "x-penstock-simulated"
_CONNECT_S = 10.0
#: A job that this code cannot read may be readable for a newer worker: it waits this long, in
#: seconds, and twice as long each time.
_UNREADABLE_WAIT_S = 30.0
_UNREADABLE_DOUBLINGS = 7
#: A job whose key cannot be used here goes back for so long, in seconds: another worker may have
#: the private key, or the platform's key.
_NO_KEY_WAIT_S = 5.0
#: The same missing private key is warned of at most this often, in seconds.
_WARN_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a call needs, before it is sent."""

    envelope: Envelope
    call: Call
    adapter: Adapter
    built: Built
    timeout: Timeout


#: Takes pieces of an attempt's answer to whoever reads along, with the number of the last of them,
#: from 1; never raises.
PassOn = Callable[[Attempt, Sequence[Delta], int], Awaitable[None]]


class NotStarted(Exception):
    """The attempt goes back unsent: its lease ran out, the worker drains, or it is unreadable."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__()
        self.wait_s = wait_s


class Executor:
    """Runs attempts of one provider, each with its key. Shared by all attempts of a worker."""

    def __init__(
        self,
        *,
        provider: Provider,
        accesses: Accesses,
        sender: Sender,
        models: Catalog,
        draining: Callable[[], bool],
        pass_on: PassOn,
        observer: Observer,
        jitter: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._accesses = accesses
        self._sender = sender
        self._models = models
        self._draining = draining
        self._pass_on = pass_on
        self._observer = observer
        self._jitter = jitter
        self._by_name: dict[str, Model] = {}
        self._warned_at: dict[str, float] = {}

    async def run(self, attempt: Attempt) -> Settlement:
        """Run one attempt to its settlement; a cancelled one is settled as possibly paid."""
        progress = Progress(time.monotonic(), self._model(attempt.model))
        try:
            return await self._run(attempt, progress)
        except NotStarted as reason:
            return returned(attempt, reason.wait_s)
        except ProviderError as error:
            with contextlib.suppress(asyncio.CancelledError):  # it has failed all the same
                await self._observer.failed(
                    attempt.lease.flow, error, progress.headers, attempt.credential
                )
            return failed(attempt, progress, error, self._decide(attempt, progress, error))
        except asyncio.CancelledError:
            return cut_off(attempt, progress)
        except Exception as error:
            logger.exception("attempt.internal_error", extra={"job_id": attempt.job_id})
            message = f"{type(error).__name__} in Penstock; please report it"
            failure = self._error(ErrorKind.INTERNAL, message)
            failure.possibly_billed = progress.sent
            return failed(attempt, progress, failure, self._decide(attempt, progress, failure))

    async def _run(self, attempt: Attempt, progress: Progress) -> Settlement:
        plan = self._plan(attempt, progress)
        if self._draining() or not attempt.lease.may_start():
            raise NotStarted
        try:
            if plan.call.stream:
                answer = await self._stream(attempt, plan, progress)
            else:
                answer = self._parse(plan, await self._send(plan, progress))
        except httpx.HTTPError as error:
            raise self._interrupted(progress, error) from error
        if attempt.hold.is_short and answer.finish_reason is FinishReason.LENGTH:
            raise cut_by_budget(attempt, answer)
        if progress.headers is not None:
            took_s = time.monotonic() - progress.started
            self._observer.accepted(
                attempt.lease.flow, progress.headers, attempt.credential, took_s=took_s
            )
        return succeeded(attempt, progress, answer, plan.built.warnings)

    def follow(self, models: Catalog) -> None:
        """Take up a changed catalogue: prices, limits of models, this provider's timeouts."""
        self._models, self._provider = models, models.provider(self._provider.name)
        self._by_name = {}

    def prices(self, model: str) -> TokenPrices:
        """What an attempt with a model of this provider reserves for each token."""
        return token_prices(self._model(model))

    def _plan(self, attempt: Attempt, progress: Progress) -> Plan:
        self._refuse(attempt)
        if attempt.body is None:
            raise self._error(ErrorKind.INTERNAL, "its payload is not in the ledger any more")
        try:
            progress.envelope = envelope = Envelope.decode(attempt.body)
        except ValidationError:
            logger.warning("attempt.unreadable", extra={"job_id": attempt.job_id})
            wait_s = _UNREADABLE_WAIT_S * 2.0 ** min(attempt.number - 1, _UNREADABLE_DOUBLINGS)
            raise NotStarted(wait_s) from None
        job, access = envelope.job, self._access(attempt, envelope)
        call = Call(
            job=job,
            provider=self._provider,
            model=progress.model,
            base_url=access.base_url,
            api_key=access.api_key,
            request_id=f"{attempt.job_id}:{attempt.number}",
            max_tokens=self._max_tokens(attempt, envelope),
            stream=not isinstance(job, Embed) and job.stream,
            repair=attempt.spent.repair,
        )
        adapter = adapter_for(self._provider, progress.model)
        total_s = job.timeout_s or self._provider.timeout_s
        return Plan(
            envelope=envelope,
            call=call,
            adapter=adapter,
            built=adapter.build(call),
            timeout=Timeout(connect_s=min(_CONNECT_S, total_s), read_s=total_s, total_s=total_s),
        )

    def _access(self, attempt: Attempt, envelope: Envelope) -> Access:
        """The key that a call uses: one to be tested, the workspace's own, or the platform's."""
        tested, sealed = envelope.sealed_key, attempt.sealed_key
        if (tested is not None) != (attempt.configuration == KEY_CHECK):
            raise self._error(ErrorKind.INTERNAL, f"configuration {KEY_CHECK} is for tests of keys")
        if tested is not None:
            sealed = base64.b64decode(tested)
        try:
            return self._accesses.of(attempt.workspace, sealed)
        except CannotOpen as error:
            self._warn(attempt, error)
            if tested is not None and attempt.deadline is None:  # requeued: it would wait for ever
                raise self._error(ErrorKind.MISSING_KEY, str(error)) from None
            raise NotStarted(_NO_KEY_WAIT_S) from None
        except NoPlatformKey:
            raise NotStarted(_NO_KEY_WAIT_S) from None

    def _warn(self, attempt: Attempt, error: CannotOpen) -> None:
        now = time.monotonic()
        if now - self._warned_at.get(error.sealing_key, -_WARN_EVERY_S) >= _WARN_EVERY_S:
            self._warned_at[error.sealing_key] = now
            logger.warning(
                "attempt.key_not_opened",
                extra={
                    "job_id": attempt.job_id,
                    "workspace": attempt.workspace,
                    "sealing_key": error.sealing_key,
                    "reason": str(error),
                },
            )

    def _refuse(self, attempt: Attempt) -> None:
        """Raise the reason not to make this call at all."""
        if attempt.crashes >= POISON_CRASHES:
            raise self._error(
                ErrorKind.POISON, f"its worker was lost {attempt.crashes} times while it ran"
            )
        if attempt.deadline is not None and attempt.deadline <= datetime.now(UTC):
            raise self._error(ErrorKind.EXPIRED, "its deadline passed before it could start")
        if attempt.lacks is not None:
            raise self._error(ErrorKind.BUDGET_EXCEEDED, told_of_budget(attempt))

    def _max_tokens(self, attempt: Attempt, envelope: Envelope) -> int | None:
        """The job's limit, or its capability's; twice that after a structured answer was cut off.

        Never more than what was reserved where a hard budget counts on it.
        """
        job = envelope.job
        if isinstance(job, Embed):
            return None
        default = self._models.capabilities.get(job.capability)
        default = default or self._models.capabilities[job.type]
        limit = job.max_tokens or default.max_output_tokens
        if limit is not None and attempt.last_error is ErrorKind.LENGTH and _is_structured(job):
            limit = 2 * limit
        bounds = (limit, self._model(attempt.model).max_output_tokens, attempt.hold.output_cap)
        return min((bound for bound in bounds if bound is not None), default=None)

    async def _send(self, plan: Plan, progress: Progress) -> httpx.Response:
        progress.sent = True
        response = await self._sender.send(plan.built.request, timeout=plan.timeout)
        self._note(response, progress)
        return response

    async def _stream(self, attempt: Attempt, plan: Plan, progress: Progress) -> Answer:
        """Read a streamed answer, passing its pieces on as they come."""
        decoder = plan.adapter.decoder(plan.call)
        pieces = 0
        progress.sent = True
        async with self._sender.stream(plan.built.request, timeout=plan.timeout) as response:
            self._note(response, progress)
            if not response.is_success:
                await response.aread()
                raise plan.adapter.classify(plan.call, response)
            try:
                async for data in response.aiter_bytes():
                    if deltas := decoder.feed(data):
                        pieces += len(deltas)
                        await self._pass_on(attempt, deltas, pieces)
            except httpx.HTTPError as error:
                logger.info(
                    "attempt.stream_broke", extra={"job_id": attempt.job_id, "reason": str(error)}
                )
        # Whole, or interrupted with the usage that was seen so far.
        return decoder.finish()

    @staticmethod
    def _note(response: httpx.Response, progress: Progress) -> None:
        progress.status = response.status_code
        progress.headers = response.headers
        progress.simulated = SIMULATED_HEADER in response.headers

    def _interrupted(self, progress: Progress, error: httpx.HTTPError) -> ProviderError:
        """What a failure of the wire means: whether the request can have reached the provider."""
        progress.sent = progress.status is not None or possibly_sent(error)
        kind = ErrorKind.INTERRUPTED if progress.sent else ErrorKind.CONNECT_ERROR
        message = str(error) or type(error).__name__
        return ProviderError(
            kind,
            message,
            provider=self._provider.name,
            code="timeout" if isinstance(error, httpx.TimeoutException) else None,
            possibly_billed=progress.sent,
        )

    @staticmethod
    def _parse(plan: Plan, response: httpx.Response) -> Answer:
        if response.is_success:
            return plan.adapter.parse(plan.call, response)
        raise plan.adapter.classify(plan.call, response)

    def _decide(self, attempt: Attempt, progress: Progress, error: ProviderError) -> Outcome:
        envelope = progress.envelope
        if attempt.configuration == KEY_CHECK:
            return Fail()
        remaining_s = None
        if attempt.deadline is not None:
            remaining_s = (attempt.deadline - datetime.now(UTC)).total_seconds()
        return decide(
            error,
            number=attempt.number,
            tries=attempt.tries,
            max_attempts=envelope.job.max_attempts if envelope else 1,
            last_error=attempt.last_error,
            route=f"{attempt.provider}/{attempt.model}",
            routes=envelope.routes if envelope else (),
            remaining_s=remaining_s,
            jitter=self._jitter,
        )

    def _error(self, kind: ErrorKind, message: str) -> ProviderError:
        return ProviderError(kind, message, provider=self._provider.name)

    def _model(self, name: str) -> Model:
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = self._resolve(name)
        return found

    def _resolve(self, name: str) -> Model:
        try:
            return self._models.resolve(f"{self._provider.name}/{name}")
        except PenstockError:
            return Model(
                provider=self._provider.name,
                name=name,
                wire_id=name,
                display_name=name,
                known=False,
            )


def _is_structured(job: TextJob) -> bool:
    """Whether an answer that was cut off is of no use to a job."""
    return isinstance(job, Classify) or job.output_schema is not None or job.json_output
