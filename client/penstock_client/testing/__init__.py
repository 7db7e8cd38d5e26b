"""For tests of code that uses Penstock: `FakePenstock` answers jobs in the process itself.

async with FakePenstock(answers={"classify": "refund"}) as penstock:
    await sort_tickets(penstock)
"""

from penstock_client.testing.answers import Answer, AnswerFunction, Answers, Fails
from penstock_client.testing.fake import FakePenstock
from penstock_client.testing.records import workspace_config

__all__ = ["Answer", "AnswerFunction", "Answers", "Fails", "FakePenstock", "workspace_config"]
