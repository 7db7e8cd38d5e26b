"""The test of one sealed key: a job on its provider's pool, and what its answer says of the key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils import uuid7

from penstock_client.explaining import JobExplanation
from penstock_client.ledger import NewJob
from penstock_client.provider_keys import Verdict
from penstock_client.routing import estimate_tokens
from penstock_client.sealing import encode_key
from penstock_client.tracing import current_trace
from penstock_schemas.canary import ANSWERED, REFUSED, canary_job
from penstock_schemas.catalog import Catalog, Model
from penstock_schemas.errors import PenstockError, ResultTimeout
from penstock_schemas.ids import JobId
from penstock_schemas.jobs import Envelope
from penstock_schemas.keys import KEY_CHECK
from penstock_schemas.results import Result
from penstock_schemas.status import Lane

SKILL, STEP = "penstock", "validate-key"
#: What such calls use teaches nothing of other work.
CAPABILITY = "validate-key"
#: The call itself may take so long, in seconds.
CALL_S = 20.0
#: A job that nobody awaits any more ends so much later, in seconds: until then it can be asked why.
_LATER_S = 5.0


class KeyTrial:
    """Tries keys; see `provider_keys.KeyTest`."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        record: Callable[[Sequence[NewJob]], Awaitable[object]],
        await_body: Callable[[JobId, str | None, float | None], Awaitable[bytes]],
        explain: Callable[[JobId], Awaitable[JobExplanation]],
    ) -> None:
        self._catalog = catalog
        self._record, self._await_body, self._explain = record, await_body, explain

    async def __call__(
        self, workspace: str, model: Model, sealed: bytes, *, timeout_s: float
    ) -> Verdict:
        """Run the job and judge its result; raises Unavailable."""
        new = self._job(workspace, model, sealed, timeout_s)
        await self._record([new])
        job_id = JobId(str(new.job_id))
        try:
            body = await self._await_body(job_id, new.provider, timeout_s)
        except ResultTimeout:
            return Verdict(None, f"no answer within {timeout_s:g} s: {await self._why(job_id)}")
        return judged(Result.decode(body))

    async def _why(self, job_id: JobId) -> str:
        try:
            return (await self._explain(job_id)).why
        except PenstockError as error:
            return str(error)

    def _job(self, workspace: str, model: Model, sealed: bytes, timeout_s: float) -> NewJob:
        deadline = datetime.now(UTC) + timedelta(seconds=timeout_s + _LATER_S)
        job = canary_job(model, workspace=workspace).model_copy(
            update={
                "capability": CAPABILITY,
                "model": model.ref,
                "max_attempts": 1,
                "timeout_s": min(CALL_S, timeout_s),
                "deadline": deadline,
                "skill": SKILL,
                "step": STEP,
            }
        )
        envelope = Envelope(routes=(model.ref,), job=job, sealed_key=encode_key(sealed))
        body = envelope.encode()
        input_tokens, output_tokens = estimate_tokens(job, body, self._catalog)
        return NewJob(
            job_id=UUID(int=uuid7().int),
            workspace=workspace,
            type=job.type,
            capability=CAPABILITY,
            provider=model.provider,
            model=model.name,
            lane=Lane.INTERACTIVE,
            max_attempts=1,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            deadline=deadline,
            idempotency_key=None,
            skill=SKILL,
            step=STEP,
            agent=None,
            task_type=None,
            configuration=KEY_CHECK,
            trace=current_trace(),
            body=body,
        )


def judged(result: Result) -> Verdict:
    """What a result says of the key: a provider that answers, whatever it says, has accepted it."""
    error = result.error
    if result.ok or (error is not None and error.kind in ANSWERED):
        return Verdict(True)
    if error is None:
        return Verdict(None, f"the test was {result.status.label}")
    if error.kind in REFUSED:
        return Verdict(False, error.message)
    return Verdict(None, error.message)
