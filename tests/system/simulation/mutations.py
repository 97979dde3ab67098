"""The safeguards that can be taken out of a copy of the tree, each as exact replacements of its text."""

from dataclasses import dataclass
from pathlib import Path


class TextGoneError(Exception):
    """The text that a mutation replaces does not stand in its file exactly once."""


@dataclass(frozen=True)
class Edit:
    """One replacement in one file of the tree."""

    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Edit the file below `root`. Raises TextGoneError where the text is not there exactly once."""
        text = (root / self.path).read_text()
        if text.count(self.old) != 1:
            raise TextGoneError(f"{self.path} has {text.count(self.old)} times: {self.old}")
        (root / self.path).write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Mutation:
    """A safeguard, and what takes it out. Its loss need not be noticed where others stand `behind` it."""

    name: str
    edits: tuple[Edit, ...]
    behind: str = ""

    def apply(self, root: Path) -> None:
        """Take the safeguard out of the tree below `root`."""
        for edit in self.edits:
            edit.apply(root)


FENCE = Edit(
    "prices/coordination/runs.py",
    'catalogue.c.fence == bindparam("run")',
    'catalogue.c.id <= bindparam("run")',
)
CLOSED = Edit("prices/refresh/commit.py", "if not closed:", "if False:")
CHECK = Edit("prices/refresh/claim.py", "if unrenewed > self._lease:", "if False:")
FRESH = Edit(
    "prices/coordination/runs.py",
    "if refreshed_at and not attempt.forced and freshness.is_fresh(",
    "if False and freshness.is_fresh(",
)
MARK = Edit("prices/refresh/claiming.py", "keys.fresh if trust_marker else None", "None")
REDIS_LOCK = Edit(
    "prices/coordination/lease.py",
    "local holder = redis.call('GET', KEYS[1])\nif holder and holder ~= ARGV[1] then\n  local left",
    "local holder = false\nredis.call('DEL', KEYS[1])\nif holder and holder ~= ARGV[1] then\n  local left",
)
RELEASE = Edit(
    "prices/coordination/lease.py", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n", ""
)
RENEWAL = Edit("prices/coordination/lease.py", "if holder and holder ~= ARGV[1] then return 0 end\n", "")
ANOTHER = Edit("prices/refresh/claim.py", "return before and self._redis_lost", "return False")
BEATEN = 'connection.execute(_UPDATE_RUNNING_RUN, {"run": run_id, "heartbeat_at": now})'
HEARTBEAT_STATE = Edit(
    "prices/coordination/runs.py",
    BEATEN,
    "connection.execute(update(refresh_runs).where(refresh_runs.c.id == run_id).values(heartbeat_at=now))",
)
HEARTBEAT = Edit(
    "prices/coordination/runs.py",
    BEATEN,
    'connection.execute(_UPDATE_RUNNING_RUN, {"run": run_id, "state": RUNNING})',
)
TTL = Edit("prices/refresh/claim.py", "if self._clock.monotonic() >= self._ends_at:", "if False:")
BUSY = Edit("prices/coordination/runs.py", "if abs(now - last.heartbeat_at) <= lease:", "if False:")
DEAD = Edit("prices/coordination/runs.py", "if abs(now - last.heartbeat_at) <= lease:", "if True:")
STASH = Edit("prices/refresh/receive.py", "if stashed := stash.get(state):", "if stashed := None:")
STASH_REDIS = Edit(
    "prices/refresh/stash.py",
    "for put in (self._put_in_redis, self._put_in_database):",
    "for put in (self._put_in_database,):",
)
STASH_DATABASE = Edit(
    "prices/refresh/stash.py",
    "for put in (self._put_in_redis, self._put_in_database):",
    "for put in (self._put_in_redis,):",
)
AGE = Edit(
    "prices/refresh/stash.py",
    "return Received(zstandard.decompress(stashed.packed), at)",
    "return Received(zstandard.decompress(stashed.packed))",
)
AGE_OF_MARK = Edit(
    "prices/refresh/stash.py",
    "return Receipt(at, 0.0, None, digest)",
    "return Receipt(None, 0.0, None, digest)",
)
MARK_DIGEST = Edit("prices/refresh/stash.py", "if state.is_what(digest):", "if True:")
HEIRS_BODY = (
    Edit("prices/refresh/stash.py", 'run_id <= bindparam("run"))', 'run_id <= bindparam("run") + 1_000_000)'),
    Edit("prices/refresh/stash.py", "return there and there > tonumber(run)", "return false"),
)
AFTER = Edit("prices/refresh/stash.py", " or stashed.run_id <= (state.refreshed_run_id or 0)", "")
FORGET = Edit("prices/refresh/story.py", "        stash.forget(claimed.run_id)\n", "")
NOTE = Edit(
    "prices/beat/timetable.py",
    '            self._send()\n            log.info("Sent the refresh that is due")\n'
    "            self._note_sent(now)",
    "            self._note_sent(now)\n            self._send()",
)
AGAIN = Edit("prices/coordination/freshness.py", "sent_at + answer_within(lease)", "sent_at + 10 * interval")
HEIR = Edit(
    "prices/coordination/retries.py", "unless_ahead(run.heartbeat_at, now, lease), lease", "now, lease"
)
WAITING = Edit(
    "prices/coordination/runs.py",
    "elif not attempt.forced and (until := waits_until(last, now)):",
    "elif until := None:",
)
RETRY_AFTER = Edit(
    "prices/refresh/failure.py", "error.retry_after if isinstance(error, UpstreamError) else 0.0", "0.0"
)
RETRY = Edit("prices/coordination/retries.py", "ends - run.finished_at\n", "timedelta(hours=3)\n")
GROWTH = Edit("prices/coordination/retries.py", "(1 << min(failures, SHARE.bit_length()))", "1")
PUBLISH = Edit(
    "prices/published/redis_copy.py",
    "local stale = there and there <= ahead and there > at and not came_before(run_there, run)",
    "local stale = false",
)
CONFIRM = Edit(
    "prices/published/redis_copy.py",
    "local is_news = not there or there < tonumber(ARGV[1]) or there > ahead",
    "local is_news = true",
)
LATER_RUN = Edit("prices/published/redis_copy.py", "> at and not came_before(run_there, run)", "> at")
LATER_RUN_CONFIRMS = Edit(
    "prices/published/redis_copy.py",
    "if is_news or came_before(run_there, tonumber(ARGV[5])) then",
    "if is_news then",
)
WELL_AHEAD = Edit(
    "prices/published/redis_copy.py", "local stale = there and there <= ahead and", "local stale = there and"
)
WELL_AHEAD_CONFIRMED = Edit("prices/published/redis_copy.py", " or there > ahead\n", "\n")
FRESH_AHEAD = Edit(
    "prices/coordination/freshness.py",
    "abs(now - refreshed_at) < fresh_for(interval)",
    "now - refreshed_at < fresh_for(interval)",
)
ALIVE_AHEAD = Edit(
    "prices/coordination/runs.py",
    "if abs(now - last.heartbeat_at) <= lease:",
    "if now - last.heartbeat_at <= lease:",
)
DUE_AHEAD = Edit(
    "prices/beat/timetable.py",
    "unless_ahead(seen.state.refreshed_at, now, fresh_for(interval))",
    "seen.state.refreshed_at",
)
SENT_AHEAD = Edit("prices/beat/timetable.py", "(unless_ahead(at, now) for at in", "(at for at in")
HEARTBEAT_AHEAD = Edit(
    "prices/coordination/retries.py",
    "unless_ahead(run.heartbeat_at, now, lease), lease",
    "run.heartbeat_at, lease",
)
STARTED_AHEAD = Edit(
    "prices/coordination/retries.py",
    "unless_ahead(run.started_at, now, CLOCK_SLACK), lease",
    "run.started_at, lease",
)
FAILED_AHEAD = Edit(
    "prices/coordination/retries.py",
    "unless_ahead(run.finished_at, now, CLOCK_SLACK), ends - run.finished_at",
    "run.finished_at, ends - run.finished_at",
)
WAITING_AHEAD = Edit(
    "prices/coordination/retries.py", "if unless_ahead(run.finished_at, now, CLOCK_SLACK) is None or ", "if "
)
STASH_AHEAD = Edit("prices/refresh/stash.py", " or age < -CLOCK_SLACK", "")
VALID_AHEAD = Edit("prices/refresh/commit.py", "return max(at, last or at)", "return at")
REPAIR = Edit(
    "prices/beat/timetable.py",
    '                self._try("publication", lambda: self._repair_publication(seen))\n',
    "",
)
READ_BACK = Edit("prices/coordination/lease.py", "            return self._read_back()", "            raise")
DEGRADED = Edit(
    "prices/refresh/claiming.py",
    'decides", reason=in_full(error))\n        return None, True\n',
    'decides", reason=in_full(error))\n        raise\n',
)
ONE_RUNNING = Edit(
    "migrations/versions/20261125_07_all_tables.py",
    '["state"],\n        unique=True,',
    '["state"],\n        unique=False,',
)
RUNNING_ROW = Edit(
    "prices/coordination/runs.py", "if last is not None and last.state == RUNNING:", "if False:"
)

CAPPED = (
    "the bounds of a fetch and of a task end every run before; tests/prices/refresh/test_claim.py shows it"
)
REPAIRED = "beat and web, which put the later one back; tests/prices/published/test_redis_copy.py shows it"

MUTATIONS = (
    Mutation("the fence", (FENCE,), "the look at the run's own row; the holder's own lease"),
    Mutation("the commit's look at its own row", (CLOSED,), "the fence"),
    Mutation("the fence, and the commit's look at its own row", (FENCE, CLOSED)),
    Mutation("the holder's own lease", (CHECK,)),
    Mutation("the fence, and the holder's own lease", (FENCE, CHECK)),
    Mutation("the fence, the look at its own row, and the holder's own lease", (FENCE, CLOSED, CHECK)),
    Mutation("freshness by the database", (FRESH,)),
    Mutation("the mark of freshness in Redis", (MARK,), "freshness by the database"),
    Mutation("freshness, both ways", (FRESH, MARK)),
    Mutation("the Redis lock", (REDIS_LOCK,)),
    Mutation("the owner check of the release", (RELEASE,)),
    Mutation("the owner check of the renewal", (RENEWAL,)),
    Mutation("ending when another holds the lock", (ANOTHER,), "the heartbeat; the fence"),
    Mutation(
        "the heartbeat's look at the run's state",
        (HEARTBEAT_STATE,),
        "the fence; tests/prices/coordination/test_runs.py",
    ),
    Mutation("the heartbeat", (HEARTBEAT,)),
    Mutation("the cap on how long a claim may last", (TTL,), CAPPED),
    Mutation("waiting for a run that lives", (BUSY,)),
    Mutation("taking over from a run that died", (DEAD,)),
    Mutation("the stash", (STASH,)),
    Mutation("the stash in Redis", (STASH_REDIS,)),
    Mutation("the stash in the database", (STASH_DATABASE,)),
    Mutation("the age of a stashed body", (AGE, AGE_OF_MARK)),
    Mutation("the digest of a mark", (MARK_DIGEST,), "tests/prices/refresh/test_stash.py"),
    Mutation("leaving the heir's body alone", HEIRS_BODY, "tests/prices/refresh/test_stash.py"),
    Mutation(
        "passing over a stashed body that is committed",
        (AFTER,),
        "forgetting the stash after the commit; tests/prices/refresh/test_stash.py",
    ),
    Mutation(
        "forgetting the stash after the commit", (FORGET,), "passing over a stashed body that is committed"
    ),
    Mutation("publish before reserve in beat", (NOTE,)),
    Mutation("sending again what no run answered", (AGAIN,)),
    Mutation("sending for a run that died", (HEIR,)),
    Mutation("sending for a run that failed", (RETRY,)),
    Mutation("waiting after a failure", (WAITING,)),
    Mutation("the wait that upstream asks for", (RETRY_AFTER,)),
    Mutation("waits that grow", (GROWTH,)),
    Mutation("no older publication over a later one", (PUBLISH,), REPAIRED),
    Mutation("no confirmation that sets the time back", (CONFIRM,)),
    Mutation("beat's repair of the publication", (REPAIR,)),
    Mutation("a later run's publication over a time ahead", (LATER_RUN,)),
    Mutation("a later run's confirmation over a time ahead", (LATER_RUN_CONFIRMS,)),
    Mutation("any publication over a time well ahead", (WELL_AHEAD,), "the number of the run"),
    Mutation("any confirmation over a time well ahead", (WELL_AHEAD_CONFIRMED,), "the number of the run"),
    Mutation("prices of a time ahead are not fresh", (FRESH_AHEAD,)),
    Mutation("a heartbeat ahead is of a run that died", (ALIVE_AHEAD,)),
    Mutation("prices of a time ahead are due", (DUE_AHEAD,)),
    Mutation("a message sent at a time ahead is not waited for", (SENT_AHEAD,)),
    Mutation("sending for a run whose heartbeat is ahead", (HEARTBEAT_AHEAD,)),
    Mutation("sending after a run that began at a time ahead", (STARTED_AHEAD,)),
    Mutation("sending for a run that failed at a time ahead", (FAILED_AHEAD,)),
    Mutation("no waiting for a run that failed at a time ahead", (WAITING_AHEAD,)),
    Mutation(
        "passing over a body stashed at a time ahead", (STASH_AHEAD,), "tests/prices/refresh/test_stash.py"
    ),
    Mutation("no revision from before the last", (VALID_AHEAD,)),
    Mutation("reading back after a lost reply", (READ_BACK,)),
    Mutation("going on without Redis", (DEGRADED,)),
    Mutation(
        "the unique index of running rows",
        (ONE_RUNNING,),
        "the lock on the catalogue's row",
    ),
    Mutation("the running row as the judge", (RUNNING_ROW,)),
    Mutation("the running row as the judge, and its unique index", (RUNNING_ROW, ONE_RUNNING)),
)
