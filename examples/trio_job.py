"""Remind of late tasks, in trio: one task reads pages, others write comments, and all of it ends in time.

It needs ``pip install "tallyfy-async[trio]"``, reads TALLYFY_ACCESS_TOKEN, TALLYFY_ORGANIZATION and TALLYFY_BASE_URL,
and runs as ``python trio_job.py --most 20``.
"""

import argparse
import sys
from collections import Counter

import trio

from tallyfy_async import APIError, TallyfyClient, TransportError
from tallyfy_async.models import Task
from tallyfy_async.organization import Organization

WORDS = "This task is late. Can you say when it will be done?"


async def read(org: Organization, most: int, found: trio.MemorySendChannel[Task]) -> None:
    """Send on the tasks that are late, as their pages come: no faster than the comments are written."""
    async with found:
        sent = 0
        async for task in org.tasks.list(status="overdue"):
            if sent == most:
                return
            await found.send(task)
            sent += 1


async def remind(org: Organization, late: trio.MemoryReceiveChannel[Task], done: Counter[str]) -> None:
    """Write the comments; what Tallyfy refuses, or leaves open, is counted and not repeated."""
    async for task in late:
        try:
            await org.threads.comment_on_task(task.id, WORDS)
            done["reminded"] += 1
        except (APIError, TransportError) as error:
            print(f"{task.id}: {error}", file=sys.stderr)
            done["failed"] += 1


async def main(most: int, seconds: float) -> Counter[str]:
    """Remind of at most ``most`` tasks, for at most ``seconds``; return what was done."""
    done: Counter[str] = Counter(reminded=0, failed=0)
    found, late = trio.open_memory_channel[Task](0)
    async with TallyfyClient.from_env() as tallyfy:
        org = tallyfy.organization()
        with trio.move_on_after(seconds) as scope:
            async with trio.open_nursery() as nursery, late:
                nursery.start_soon(read, org, most, found)
                for _ in range(4):
                    nursery.start_soon(remind, org, late.clone(), done)
    done["cut"] = int(scope.cancelled_caught)
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=20, help="comments to write at most (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="when to stop (default: %(default)s)")
    given = parser.parse_args()
    for what, count in trio.run(main, given.most, given.seconds).items():
        print(f"{what}: {count}")
