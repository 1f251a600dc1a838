"""A stand-in for the way to an MLflow server: gives the answers that a test has put in, and remembers what was sent."""

from __future__ import annotations


class FakeTransport:
    def __init__(self, *responses):
        self.responses = list(responses)
        self.sent = []

    def request(self, method, target, headers, body=None):
        self.sent.append((method, target, headers, body))
        return self.responses.pop(0)

    def close(self):
        pass
