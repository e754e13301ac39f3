"""Work on a stream of its own: what waits for what, on streams that write down what they are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch

from fastsnf.ntk.side_stream import SideStream


class Recorded:
    """Streams, events and tensors that only say what was done to them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.current = Stream("main", self)

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


class Stream:
    def __init__(self, name: str, log: Recorded) -> None:
        self.name, self._log = name, log

    def wait_event(self, event: Event) -> None:
        self._log.said.append(f"{self.name} waits for {event.what}")

    def wait_stream(self, other: Stream) -> None:
        self._log.said.append(f"{self.name} waits for all of {other.name}")


class Event:
    what = "nothing"

    def record(self, stream: Stream) -> None:
        self.what = f"what {stream.name} had"


class Held:
    def __init__(self, log: Recorded) -> None:
        self._log = log

    def record_stream(self, stream: Stream) -> None:
        self._log.said.append(f"held for {stream.name}")


def test_the_work_waits_for_its_inputs_and_the_results_for_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Recorded()
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device, priority: Stream(f"side {priority}", log))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: log.current)
    monkeypatch.setattr(torch.cuda, "stream", log.stream)
    side = SideStream("cuda")
    with side.work():
        assert log.current.name == "main", "without a mark there is nothing to wait for"
    side.mark()
    with side.work(Held(log)):  # type: ignore[arg-type]
        assert log.current.name == "side -1"
    side.join(Held(log))  # type: ignore[arg-type]
    assert log.said == [
        "side -1 waits for what main had",
        "held for side -1",
        "main waits for all of side -1",
        "held for main",
    ]


def test_on_a_cpu_it_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Event", "Stream", "current_stream", "stream"):
        monkeypatch.delattr(torch.cuda, name)
    side, x = SideStream("cpu"), torch.ones(2)
    side.mark()
    with side.work(x):
        y = x + 1
    side.join(y)
    assert y.tolist() == [2.0, 2.0]
