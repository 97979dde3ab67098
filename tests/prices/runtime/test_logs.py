"""The log of a process: our lines and the libraries' in one form, on stderr."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.dev import ConsoleRenderer, plain_traceback

from prices.runtime.logs import plain_line
from prices.runtime.settings import ROOT

SPEAK = """
import logging, sys
from prices.runtime.logs import bind_context, configure_logs, log
configure_logs(sys.argv[1], logging.INFO)
with bind_context(worker="w1"):
    log.info("Something happened", count=1, text="100 %")
    log.debug("Not to be seen")
    logging.getLogger("celery").warning("Said by %s", "Celery")
    try:
        1 / 0
    except ZeroDivisionError:
        log.error("Something failed", exc_info=True)
log.info("The end")
"""
HEAD = {"timestamp": "2026-08-06T12:00:00Z", "level": "info", "event": "It happened", "logger": "pricebeat"}


def spoken(log_format: str) -> list[str]:
    """What a process of its own writes to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, log_format],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.process
def test_lines_for_people_are_in_one_form_whoever_wrote_them() -> None:
    lines = [re.sub(r"^\d{4}-\S+Z", "TIME", line) for line in spoken("console")]
    assert lines[:3] == [
        "TIME [info] Something happened [pricebeat] count=1 text='100 %' worker=w1",
        "TIME [warning] Said by Celery [celery] worker=w1",
        "TIME [error] Something failed [pricebeat] worker=w1",
    ]
    assert lines[3] == "    Traceback (most recent call last):"
    assert lines[-2:] == ["    ZeroDivisionError: division by zero", "TIME [info] The end [pricebeat]"]


@pytest.mark.process
def test_lines_for_drains_are_json_objects() -> None:
    events = [json.loads(line) for line in spoken("json")]
    assert [event.pop("timestamp")[:2] for event in events] == ["20"] * 4
    assert "ZeroDivisionError" in events[2].pop("exception")
    assert events == [
        {
            "event": "Something happened",
            "level": "info",
            "logger": "pricebeat",
            "worker": "w1",
            "count": 1,
            "text": "100 %",
        },
        {"event": "Said by Celery", "level": "warning", "logger": "celery", "worker": "w1"},
        {"event": "Something failed", "level": "error", "logger": "pricebeat", "worker": "w1"},
        {"event": "The end", "level": "info", "logger": "pricebeat"},
    ]


FORGED = "2026-08-06T12:00:00.000000Z [info] Forged [pricebeat]"
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
STEERING = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x00",
    "\x08",
    "\x7f",
    "\u202e",
    "\u200b",
    "\ud800",
    "\ufeff",
]
SPEAK_HOSTILE = """
import json, logging, sys, warnings
from prices.runtime.logs import bind_context, configure_logs, log
if sys.argv[2] == "tty":
    sys.stderr.isatty = lambda: True
configure_logs(sys.argv[1], logging.INFO)
for text in json.loads(sys.argv[3]):
    log.info("Something happened", path=text, texts=[text])
    logging.getLogger("granian.access").info("GET %s 200", text)
    with bind_context(worker=text):
        log.info("Something else happened")
    try:
        raise ValueError(text)
    except ValueError as error:
        log.error("Something failed", exc_info=error)
        logging.getLogger("celery").exception(text)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("log_format", "stderr"), [("console", "pipe"), ("console", "tty"), ("json", "pipe")]
)
def test_no_text_makes_a_line_of_its_own_or_steers_a_terminal(log_format: str, stderr: str) -> None:
    texts = [f"a{hostile}{FORGED}" for hostile in BREAKS + STEERING]
    done = subprocess.run(
        [sys.executable, "-c", SPEAK_HOSTILE, log_format, stderr, json.dumps(texts)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        check=True,
        capture_output=True,
        timeout=40,
    )
    written = done.stderr.decode()
    if stderr == "tty":
        written = re.sub(r"\x1b\[\d+m", "", written)  # structlog's own colours
    lines = written.split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines.pop() == ""
    events = [line for line in lines if not line.startswith("    ")]
    assert len(events) == 5 * len(texts)
    assert not [line for line in events if line.startswith(FORGED)]
    if log_format == "json":
        paths = [json.loads(line).get("path") for line in events]
        assert [path for path in paths if path] == texts


texts = st.text(alphabet="ab1é%{} \t=\r\n\"'", max_size=8)
values = texts | st.integers() | st.floats() | st.none() | st.lists(texts, max_size=2)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["age", "holder", "left", "run_id", "worker"]), values))
def test_a_plain_line_is_what_structlog_writes_without_colours(fields: dict[str, Any]) -> None:
    renderer = ConsoleRenderer(
        colors=False, pad_event_to=0, pad_level=False, exception_formatter=plain_traceback
    )
    assert plain_line(None, "info", {**HEAD, **fields}) == renderer(None, "info", {**HEAD, **fields})


@pytest.mark.parametrize("below", [{"exception": "Traceback"}, {"stack": "Stack"}])
def test_what_is_below_a_line_is_kept(below: dict[str, str]) -> None:
    line = plain_line(None, "info", {**HEAD, **below})
    assert line.splitlines()[1:] == list(below.values())
