from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError, NotFoundError, ValidationError
from tallyfy_async.models.threads import Comment, mention
from tests.resources.place import place

pytestmark = pytest.mark.anyio


async def test_comments_are_read_with_their_task() -> None:
    async with place() as at:
        task = at.task()
        assert await at.org.threads.list_of_task(task.id) == ()
        first = await at.org.threads.comment_on_task(task.id, "Look", state="open", label="improvement")
        second = await at.org.threads.comment_on_task(task.id, "Look again")
        assert (first.content, first.state, first.label, first.author_id) == ("Look", "open", "improvement", 1001)
        assert (second.state, second.label) == ("hide-for-guests", "comment")
        found = await at.org.threads.list_of_task(task.id)
        assert {comment.id: comment.content for comment in found} == {first.id: "Look", second.id: "Look again"}
        assert dict(at.received[-1].query) == {"with": "threads"}


async def test_a_comment_is_changed_and_deleted() -> None:
    async with place() as at:
        task = at.task()
        comment = await at.org.threads.comment_on_task(task.id, "Look")
        changed = await at.org.threads.update_task_comment(task.id, comment.id, "Do not look")
        assert (changed.id, changed.content) == (comment.id, "Do not look")
        assert await at.org.threads.delete_task_comment(task.id, comment.id) is None
        assert await at.org.threads.list_of_task(task.id) == ()
        with pytest.raises(NotFoundError):
            await at.org.threads.delete_task_comment(task.id, comment.id)


async def test_a_mention_is_rendered_as_the_full_name() -> None:
    async with place() as at:
        task = at.task()
        await at.org.threads.comment_on_task(task.id, f"{mention(1002)} please look")
        (comment,) = await at.org.threads.list_of_task(task.id)
        assert at.bodies()[0] == {"content": "@[1002] please look"}
        assert comment.content is not None
        assert comment.content.startswith("<strong>")


@pytest.mark.parametrize("user_id", ["1002", 0, -1, True, None, 1.5, "ada@example.com"])
def test_only_members_are_mentioned(user_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="user_id must be a member's id"):
        mention(user_id)


async def test_an_issue_blocks_its_task_until_it_is_resolved() -> None:
    async with place() as at:
        task = at.task(
            test=lambda task: (
                not any(other.problem for other in at.tenant.tasks.values() if other.run_id == task.run_id)
            )
        )
        run_id = task.run_id or ""
        issue = await at.org.threads.report_task_problem(task.id, "It is broken")
        assert issue.is_open_issue
        assert (await at.org.runs.get(run_id)).status == "problem"
        assert (await at.org.runs.tasks.get(run_id, task.id)).problem is True
        with pytest.raises(ValidationError):
            await at.org.runs.tasks.complete(run_id, task.id)
        await at.org.threads.comment_on_task(task.id, "It works again", label="resolve")
        assert [one.id for one in await at.org.threads.list_of_task(task.id) if one.is_open_issue] == [issue.id]
        await at.org.threads.resolve_task_threads(task.id, issue.id, "Mended")
        assert not any(one.is_open_issue for one in await at.org.threads.list_of_task(task.id))
        assert (await at.org.runs.get(run_id)).status == "active"
        assert (await at.org.runs.tasks.complete(run_id, task.id)).status == "completed"


async def test_an_issue_of_a_run_holds_all_its_tasks() -> None:
    async with place() as at:
        task = at.task()
        run_id = task.run_id or ""
        status = (await at.org.runs.get(run_id)).status
        issue = await at.org.threads.report_run_problem(run_id, "Stop")
        run = await at.org.runs.get(run_id)
        assert (run.status, run.has_open_issue) == ("issue", True)
        with pytest.raises(ValidationError):
            await at.org.runs.tasks.update(run_id, task.id, title="x")
        await at.org.threads.resolve_run_threads(run_id, issue.id, "Go on")
        run = await at.org.runs.get(run_id)
        assert (run.status, run.has_open_issue) == (status, False)


def test_what_counts_as_an_open_issue() -> None:
    def comment(**fields: Any) -> bool:
        return Comment(id="c", **fields).is_open_issue

    assert comment(label="problem")
    assert not comment(label="problem", resolve_id="d")
    assert not comment(label="comment")
    assert not comment(label="resolve")
    assert not comment()


T, C = "b" * 32, "9a1f0c"
WRONG: list[tuple[Any, str]] = [
    (lambda threads: threads.comment_on_task(T, ""), "content must be a str that is not empty"),
    (lambda threads: threads.comment_on_task(T, " \n"), "content must be a str"),
    (lambda threads: threads.comment_on_task(T, None), "content must be a str"),
    (lambda threads: threads.comment_on_task(T, "x", sent_to=[1]), "does not know 'sent_to'"),
    (lambda threads: threads.comment_on_task(T, "x", lable="advice"), "did you mean 'label'"),
    (lambda threads: threads.comment_on_task(T, "x", state=True), "state must be str"),
    (lambda threads: threads.comment_on_run("", "x"), "run_id must not be empty"),
    (lambda threads: threads.update_task_comment(T, "", "x"), "comment_id must not be empty"),
    (lambda threads: threads.resolve_task_threads(T, "", "x"), "thread_id must be a str"),
    (lambda threads: threads.resolve_task_threads(T, C, ""), "content must be a str"),
    (lambda threads: threads.resolve_task_threads(T, C, "x", label="resolve"), "does not know 'label'"),
    (lambda threads: threads.list_of_task(None), "task_id must be a str"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_argument_is_refused_before_anything_is_sent(call: Any, message: str) -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match=message):
            await call(at.org.threads)
        assert at.received == []
