"""The same without async: for scripts and notebooks; runs against `penstock up`."""

from penstock_client import Classify, Generate, Penstock

LABELS = ("delivery", "refund", "praise")
MESSAGES = ("Where is my parcel?", "I want my money back.", "Thank you, it fits!")

with Penstock.connect().sync() as penstock:
    answer = penstock.call(Generate(workspace="demo", prompt="Say hello."), timeout_s=60)
    print(answer.text)

    jobs = (Classify(workspace="demo", text=text, labels=LABELS) for text in MESSAGES)
    for text, result in zip(MESSAGES, penstock.map(jobs, ordered=True), strict=True):
        print(f"{text} {result.output}")

    story = penstock.submit(Generate(workspace="demo", prompt="Tell me a story.", stream=True))
    for delta in story.stream():
        print(delta.text, end="", flush=True)
    print()
