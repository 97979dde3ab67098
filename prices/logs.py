"""One log for every process: events and fields, for people (`console`) or for drains (`json`).

Celery, Flask and SQLAlchemy log through the standard library; their lines come out in the same form.
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
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if not sys.stderr.isatty():
        return [structlog.processors.format_exc_info, plain_line]
    coloured = structlog.dev.ConsoleRenderer(
        pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )
    return [coloured]


def _send(logger: logging.Logger, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]


def plain_line(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """Give the line that structlog's ConsoleRenderer gives without colours, at half its cost."""
    below = [text for name in ("stack", "exception") if (text := event.pop(name, None))]
    head = f"{event.pop('timestamp')} [{event.pop('level')}] {event.pop('event')} [{event.pop('logger')}]"
    fields = [f"{name}={_shown(event[name])}" for name in sorted(event)]
    return "\n".join([" ".join([head, *fields]), *below])


_TO_BE_QUOTED: Final = re.compile("[ \t=\r\n\"']")


def _shown(value: object) -> str:
    return value if isinstance(value, str) and not _TO_BE_QUOTED.search(value) else repr(value)
