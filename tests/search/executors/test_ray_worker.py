"""The mailbox between trials and driver loses no message and keeps no trial waiting in vain."""

import asyncio

from pipeline.search.executors.base import EpochDone
from pipeline.search.executors.ray_worker import Mailbox, SharedData
from pipeline.training.messages import EpochRecord

FIRST, SECOND = (EpochRecord(epoch=epoch, metrics={"val_accuracy": 0.5}) for epoch in (0, 1))


def numbers(messages):
    return [number for number, _ in messages]


def test_a_message_is_kept_until_the_driver_says_that_it_has_it():
    async def talk():
        mailbox = Mailbox()
        for record in (FIRST, SECOND):
            await mailbox.tell(EpochDone("a", record))
        # As when the answer to one question is lost, or two questions overlap.
        for seen, expected in ((0, [1, 2]), (0, [1, 2]), (1, [2]), (2, [])):
            assert numbers(await mailbox.take(seen, waits=False)) == expected

    asyncio.run(talk())


def test_a_question_that_waits_is_answered_by_the_next_message():
    async def talk():
        mailbox = Mailbox()
        await mailbox.tell(EpochDone("a", FIRST))
        asked = asyncio.create_task(mailbox.take(1, waits=True))
        await asyncio.sleep(0.01)
        assert not asked.done()
        await mailbox.tell(EpochDone("a", SECOND))
        assert await asked == [(2, EpochDone("a", SECOND))]

    asyncio.run(talk())


def test_a_trial_waits_for_its_own_answer():
    async def talk():
        mailbox = Mailbox()
        reports = {uid: asyncio.create_task(mailbox.report(uid, FIRST)) for uid in "ab"}
        assert len(await mailbox.take(0, waits=True)) in {1, 2}
        await mailbox.answer("b", stop=True)
        assert await reports["b"]
        assert not reports["a"].done()
        await mailbox.answer("a", stop=False)
        assert not await reports["a"]

    asyncio.run(talk())


def test_one_that_was_given_up_and_is_tried_again_is_not_stopped():
    async def talk():
        mailbox = Mailbox()
        await mailbox.give_up("a")
        await mailbox.expect("a")
        again = asyncio.create_task(mailbox.report("a", FIRST))
        await asyncio.wait_for(mailbox.take(0, waits=True), timeout=2)
        assert not again.done()
        await mailbox.answer("a", stop=False)
        assert not await again

    asyncio.run(talk())


def test_a_trial_that_was_given_up_is_stopped_whether_it_waits_or_reports_later():
    async def talk():
        mailbox = Mailbox()
        waiting = asyncio.create_task(mailbox.report("a", FIRST))
        await mailbox.take(0, waits=True)
        await mailbox.give_up("a")
        assert await waiting
        assert await mailbox.report("a", SECOND)
        assert numbers(await mailbox.take(1, waits=False)) == []

    asyncio.run(talk())


def test_a_task_knows_where_phase_2_can_start_by_the_cuts_it_was_given():
    def found(*cuts, **values):
        return SharedData(dict.fromkeys(cuts), {}).phase_2_starts({"cut": cuts[0], **values})

    assert found("block10", unfreeze=0) == []
    assert found("block10", "block4", unfreeze=2) == ["block4"]
    # The nearest first, whatever their names.
    assert found("top", "block7", "block10", unfreeze=1) == ["block7", "block10"]
