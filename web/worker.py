"""One worker of the web process: granian's RSGI worker, whose threads answer requests through the gateway.

granian runs an RSGI application in the event loop alone. A page takes its time, so requests are answered in
granian's own threads instead, as under its WSGI interface; only bodies are read in the event loop. The worker
starts as granian's own do (granian.server.mp, 2.8), with another scheduler. What we use of granian's inside
is used here alone, and `tests/web/test_slow_clients.py` fails where another version has changed it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from granian import _granian, _signals
from granian._granian import CallbackScheduler
from granian.server.common import WORKERS_METHODS
from granian.server.mp import WorkerProcess

from web.environ import Scope
from web.gateway import Exchange, Gateway

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class ThreadScheduler(CallbackScheduler):
    """Answers each request in the thread that granian hands it to."""

    __slots__ = ()

    def __init__(self, _loop: object, answer: Callable[[Scope, Exchange], None], *_task: object) -> None:
        super().__init__()
        self._schedule_fn = lambda request: answer(request.scope, request.proto)


def work_process(*arguments: Any) -> None:
    """Serve until told to stop, in a process that granian has forked."""
    wrap_target: Any = WorkerProcess.wrap_target  # which has no types
    wrap_target(_work)(*arguments)


def _work(
    worker_id: int,
    application: "WSGIApplication",
    sock: Any,
    ipc: Any,
    loop: asyncio.AbstractEventLoop,
    runtime_mode: Any,
    runtime_threads: int,
    runtime_blocking_threads: int,
    threads: int,
    threads_idle_timeout: int,
    backpressure: int,
    _task_impl: Any,
    http_mode: Any,
    http1_settings: Any,
    http2_settings: Any,
    websockets: bool,
    static_path: Any,
    log_access_format: str | None,
    ssl: tuple[Any, ...],
    _scope_options: Any,
    metrics: Any,
) -> None:
    """Serve an application that is loaded."""
    rsgi_worker: Any = _granian.RSGIWorker  # whose stub lags behind its parameters
    set_loop_signals: Any = _signals.set_loop_signals  # which has no types
    gateway = Gateway(application, access_log=log_access_format is not None)
    gateway.use(loop)
    stop = set_loop_signals(loop)
    ended = asyncio.Event()
    stop.add_cb(partial(loop.call_soon_threadsafe, ended.set))
    worker = rsgi_worker(
        worker_id,
        sock,
        ipc,
        runtime_threads,
        runtime_blocking_threads,
        threads,
        threads_idle_timeout,
        backpressure,
        http_mode,
        http1_settings,
        http2_settings,
        websockets,
        static_path,
        *ssl,
        metrics,
    )
    serve = getattr(worker, WORKERS_METHODS[runtime_mode][(sock[0] or sock[1]).is_uds()])
    nothing = partial(_pass, None)
    serve(ThreadScheduler(loop, gateway.answer, None, nothing, nothing), loop, stop)
    loop.run_until_complete(_wait(ended))


async def _wait(ended: asyncio.Event) -> None:
    await ended.wait()


def _pass(*_task: object) -> None:
    """Granian's scheduler enters and leaves asyncio tasks by callables; no task runs by ours."""
