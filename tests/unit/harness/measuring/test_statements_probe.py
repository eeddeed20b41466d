"""The probe attributes each statement to the operation that caused it, whatever runs beside it."""

import asyncio

from harness.measuring.statements import Counted, count, counting


def test_transaction_control_is_a_round_trip_but_no_statement() -> None:
    with counting() as counted:
        count("search", elapsed_s=0.25, rows=0, control=True)
        count("search", elapsed_s=0.25, rows=3, control=False)
        count("search", elapsed_s=0.25, rows=0, control=True)
    assert (counted.statements, counted.round_trips, counted.rows) == (1, 3, 3)


def test_nothing_is_counted_outside() -> None:
    with counting() as counted:
        pass
    count("search", elapsed_s=0.25, rows=1, control=False)
    assert counted == Counted()


async def test_concurrent_operations_and_their_tasks_are_kept_apart() -> None:
    barrier = asyncio.Barrier(2)

    async def operation(statements: int) -> Counted:
        with counting() as counted:
            await barrier.wait()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(statements):
                    tasks.create_task(one_statement())
            await barrier.wait()
        return counted

    async def one_statement() -> None:
        await asyncio.sleep(0)
        count("search", elapsed_s=0.25, rows=1, control=False)

    first, second = await asyncio.gather(operation(3), operation(5))
    assert (first.statements, second.statements) == (3, 5)


def test_an_inner_block_takes_over_until_it_ends() -> None:
    background = Counted()
    with counting() as outer:
        with counting(background):
            count("search", elapsed_s=0.25, rows=0, control=False)
        count("search", elapsed_s=0.25, rows=0, control=False)
    assert (outer.statements, background.statements) == (1, 1)


def test_time_and_calls_are_told_by_statement() -> None:
    with counting() as counted:
        for name in ("search", "touch", "search"):
            count(name, elapsed_s=0.25, rows=1, control=False)
    assert counted.elapsed_s == {"search": 0.5, "touch": 0.25}
    assert counted.calls == {"search": 2, "touch": 1}
