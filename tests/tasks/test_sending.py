"""Sending in the background: a call waits for a moment, and what was sent meanwhile is sent once."""

import threading
from collections.abc import Iterator

import pytest

from tasks.sending import OLD_SECONDS, BackgroundSending

MOMENT = 0.05


class Broker:
    """Takes messages, or hangs, or refuses."""

    def __init__(self) -> None:
        self.lets_go = threading.Event()
        self.lets_go.set()
        self.refuses = False
        self.asked = self.taken = 0
        self.now = 100.0

    def send(self) -> None:
        self.asked += 1
        assert self.lets_go.wait(10)
        if self.refuses:
            raise ConnectionRefusedError("nobody there")
        self.taken += 1


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.lets_go.set()


@pytest.fixture
def sending(broker: Broker) -> BackgroundSending:
    return BackgroundSending(broker.send, 5, lambda: broker.now)


@pytest.fixture
def hasty(broker: Broker) -> BackgroundSending:
    return BackgroundSending(broker.send, MOMENT, lambda: broker.now)


def let_go(broker: Broker, sending: BackgroundSending) -> None:
    broker.lets_go.set()
    assert sending._open is not None
    sending._open.exception(10)


def test_each_call_sends_a_message(broker: Broker, sending: BackgroundSending) -> None:
    sending()
    sending()
    assert broker.taken == 2


def test_what_the_broker_refuses_is_raised_and_tried_again_by_the_next_call(
    broker: Broker, sending: BackgroundSending
) -> None:
    broker.refuses = True
    with pytest.raises(ConnectionRefusedError, match="nobody there"):
        sending()
    broker.refuses = False
    sending()
    assert (broker.asked, broker.taken) == (2, 1)


def test_a_broker_that_hangs_is_asked_once_however_often_it_is_called(
    broker: Broker, hasty: BackgroundSending
) -> None:
    broker.lets_go.clear()
    for _ in range(3):
        with pytest.raises(TimeoutError, match="the broker has not taken the message within"):
            hasty()
    let_go(broker, hasty)
    hasty()
    assert (broker.asked, broker.taken) == (1, 1)


def test_what_fails_after_it_hung_is_raised_by_the_next_call(
    broker: Broker, hasty: BackgroundSending
) -> None:
    broker.lets_go.clear()
    broker.refuses = True
    with pytest.raises(TimeoutError):
        hasty()
    broker.now += OLD_SECONDS + 1
    let_go(broker, hasty)
    with pytest.raises(ConnectionRefusedError):
        hasty()


def test_a_message_that_was_sent_long_ago_is_not_that_of_a_later_call(
    broker: Broker, hasty: BackgroundSending
) -> None:
    broker.lets_go.clear()
    with pytest.raises(TimeoutError):
        hasty()
    let_go(broker, hasty)
    broker.now += OLD_SECONDS + 1
    hasty._seconds = 5
    hasty()
    assert broker.taken == 2
