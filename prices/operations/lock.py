"""The operator's hand on the lock: who holds it, and taking it away from one named holder."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from prices.coordination.lease import Lease, read_holder
from prices.coordination.runs import RUNNING, fail_run
from prices.errors import RedisUnavailableError, in_full, one_line
from prices.runtime.logs import log
from prices.services import Services
from prices.store.database import reading, utc_now, writing
from prices.store.tables import refresh_runs


@dataclass(frozen=True, slots=True)
class LockState:
    """What Redis and the database say of the lock; None where nothing is held or it could not be asked."""

    redis_token: str | None = None
    redis_seconds_left: float | None = None
    redis_trouble: str | None = None
    redis_foreign: bool = False
    run_id: int | None = None
    run_token: str | None = None
    run_seconds: float | None = None
    heartbeat_seconds: float | None = None

    @property
    def token(self) -> str | None:
        """The holder's token, to be named when the lock is broken."""
        return self.run_token if self.redis_foreign else self.redis_token or self.run_token


def show_lock(services: Services) -> LockState:
    """Say who holds the lock. Raises DatabaseUnavailableError; Redis out of reach is part of the answer."""
    holder, trouble = None, None
    try:
        holder = read_holder(services.redis, services.keys.lock)
    except RedisUnavailableError as error:
        trouble = one_line(error)
    with reading(services.engine) as connection:
        now = utc_now(connection)
        run = connection.execute(select(refresh_runs).where(refresh_runs.c.state == RUNNING)).one_or_none()
    state = LockState(redis_trouble=trouble)
    if holder is not None:
        state = replace(
            state,
            redis_token=holder.token,
            redis_seconds_left=holder.left.total_seconds(),
            redis_foreign=holder.is_foreign(services.keys.deployment),
        )
    if run is not None:
        state = replace(
            state,
            run_id=run.id,
            run_token=run.token,
            run_seconds=(now - run.started_at).total_seconds(),
            heartbeat_seconds=(now - run.heartbeat_at).total_seconds(),
        )
    return state


def break_lock(services: Services, token: str, by: str) -> bool:
    """Take the lock away from the holder of `token`, in the database and in Redis; False if it holds none.

    The run's row is closed with who did it, so its holder finds out at its next check, and its commit is
    refused. Another holder is never touched, nor one of another deployment. Raises DatabaseUnavailableError.
    """
    with writing(services.engine) as connection:
        run_id = connection.scalar(
            select(refresh_runs.c.id).where(refresh_runs.c.state == RUNNING, refresh_runs.c.token == token)
        )
        if run_id is not None:
            reason = f"claim lost: broken by {by}"
            fail_run(connection, run_id, utc_now(connection), reason)
    released = False
    try:
        lock = Lease(services.redis, services.keys.lock, token, lease=services.settings.lock_lease)
        holder = lock.holder()
        released = holder is not None and not holder.is_foreign(services.keys.deployment) and lock.release()
    except RedisUnavailableError as error:
        log.warning("The lock in Redis was left to expire", reason=in_full(error))
    if run_id is not None or released:
        log.warning("The cluster-wide price update lock was broken", by=by, token=token, run_id=run_id)
    return run_id is not None or released
