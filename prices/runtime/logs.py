"""One log for every process: events and fields, for people (`console`) or for drains (`json`).

Celery, Flask and SQLAlchemy log through the standard library; their lines come out in the same form.
Whatever text a client or upstream sends, an event is one line, and nothing in it steers a terminal.
"""

import logging
import re
import sys
from typing import Final

import structlog

# Until `configure_logs` runs, as in a shell: structlog's own default prints every local of a traceback.
if not structlog.is_configured():
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
_NAME: Final = "pricebeat"
log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(_NAME)
bind_context = structlog.contextvars.bound_contextvars


def configure_logs(log_format: str, level: int = logging.INFO) -> None:
    """Send every log line of this process to stderr, `log_format` being `console` or `json`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(log_format)
    # Our own lines are rendered before they reach the standard library: half the cost of doing it there.
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, *renderers],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    own = logging.getLogger(_NAME)
    own.propagate = False
    _send(own, logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.setLevel(level)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers]
    _send(root, structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors))


def _renderers(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "json":  # which escapes control characters and all that is not ASCII
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    coloured = structlog.dev.ConsoleRenderer(
        pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )
    return [
        structlog.processors.format_exc_info,
        printable,
        coloured if sys.stderr.isatty() else plain_line,
    ]


def _send(logger: logging.Logger, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]


BELOW: Final = ("stack", "exception")
"""Fields that stand below a line, and may have lines of their own."""


def printable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Write what a terminal would act on, and every kind of line break, as escapes.

    Lines below an event are indented, so that a text in them cannot pass for an event.
    """
    for name, value in event.items():
        if isinstance(value, str) and name in BELOW:
            event[name] = "\n".join(f"    {_escaped(line)}" for line in value.split("\n"))
        elif isinstance(value, str):
            event[name] = _escaped(value)
    return event


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain_line(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """Give the line that structlog's ConsoleRenderer gives without colours, at half its cost."""
    below = [text for name in BELOW if (text := event.pop(name, None))]
    head = f"{event.pop('timestamp')} [{event.pop('level')}] {event.pop('event')} [{event.pop('logger')}]"
    fields = [f"{name}={_shown(event[name])}" for name in sorted(event)]
    return "\n".join([" ".join([head, *fields]), *below])


_TO_BE_QUOTED: Final = re.compile("[ \t=\r\n\"']")


def _shown(value: object) -> str:
    return value if isinstance(value, str) and not _TO_BE_QUOTED.search(value) else repr(value)
