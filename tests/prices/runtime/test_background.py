"""Questions that may hang: asked once at a time, and never by more threads than may hang."""

import threading
from collections.abc import Iterator

import pytest

from prices.errors import OverloadedError
from prices.runtime.background import GIVE_UP_SECONDS, MOST_AT_ONCE, Question, in_background
from tests.support.made_clock import MadeClock


class Hanging:
    """A question whose answers come when the test lets them."""

    def __init__(self) -> None:
        self.clock = MadeClock()
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.count = 0
        self.question = Question(self._ask, self.clock.monotonic)

    def _ask(self) -> int:
        self.count += 1
        number = self.count
        self.begun.release()
        assert self.go_on.wait(20)
        return number


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.go_on.set()


def test_what_is_done_in_the_background_gives_its_answer_and_keeps_no_process_alive() -> None:
    def act() -> bool:
        return threading.current_thread().daemon

    assert in_background(act).result(10) is True


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_what_fails_in_the_background_fails_whoever_waits(error: type[BaseException]) -> None:
    def act() -> None:
        raise error

    with pytest.raises(error):
        in_background(act).result(10)


def test_who_asks_while_a_question_is_open_shares_its_answer(hanging: Hanging) -> None:
    first = hanging.question.asked()
    assert hanging.begun.acquire(timeout=10)
    hanging.clock.stand_still(GIVE_UP_SECONDS - 0.1)
    assert hanging.question.asked() is first
    hanging.go_on.set()
    assert first.result(10) == 1
    assert hanging.count == 1


def test_an_answered_question_is_asked_anew(hanging: Hanging) -> None:
    hanging.go_on.set()
    assert [hanging.question.asked().result(10) for _ in range(3)] == [1, 2, 3]


def test_a_question_that_failed_is_asked_anew() -> None:
    answers = iter([ZeroDivisionError, None])

    def ask() -> str:
        if error := next(answers):
            raise error
        return "answer"

    question = Question(ask)
    with pytest.raises(ZeroDivisionError):
        question.asked().result(10)
    assert question.asked().result(10) == "answer"


def test_a_question_that_hangs_is_given_up_and_asked_beside_it_up_to_a_bound(hanging: Hanging) -> None:
    asked = []
    for _time in range(MOST_AT_ONCE + 3):
        asked.append(hanging.question.asked())
        hanging.clock.stand_still(GIVE_UP_SECONDS)
    for _time in range(MOST_AT_ONCE):
        assert hanging.begun.acquire(timeout=10)
    assert len(set(asked)) == hanging.count == MOST_AT_ONCE
    assert asked[MOST_AT_ONCE - 1 :] == [asked[-1]] * 4
    hanging.go_on.set()
    assert {future.result(10) for future in asked} == set(range(1, MOST_AT_ONCE + 1))
    assert hanging.question.asked().result(10) == MOST_AT_ONCE + 1


def test_of_many_who_ask_at_once_one_question_is_asked(hanging: Hanging) -> None:
    start = threading.Barrier(8)

    def ask() -> object:
        start.wait(10)
        return hanging.question.asked()

    shared = {waiting.result(10) for waiting in [in_background(ask) for _ in range(8)]}
    hanging.go_on.set()
    assert [future.result(10) for future in shared] == [1]  # type: ignore[attr-defined]


def test_where_no_thread_can_be_started_whoever_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    question = Question(lambda: "answer")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OverloadedError, match="no thread can be started"):
            question.asked().result(10)
    assert question.asked().result(10) == "answer"
