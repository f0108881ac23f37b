"""Following the stored audit log from end to end, beside those who write it."""

from __future__ import annotations

from workflow_service.domain.audit import Following, Link
from workflow_service.store import audit
from workflow_service.store.database import Database


async def verified(database: Database, *, anchor: str | None = None) -> tuple[list[str], str]:
    """All that is wrong, and a summary that names the newest row as `<seq>:<hash>`.

    `anchor` is such a name from earlier: that row must be the same still, unless it was forgotten since.

    Raises:
        StoreUnavailable: the database is away.
    """
    floor, head = await audit.ends(database)
    wrong, count = await _follow(database, floor, head, _link(anchor))
    while (moved := await audit.ends(database))[0] != floor:  # the beginning was forgotten meanwhile
        floor, head = moved
        wrong, count = await _follow(database, floor, head, _link(anchor))
    return wrong, f"{count} rows, {len(wrong)} flaws; newest {head.seq}:{head.hash}"


def _link(anchor: str | None) -> Link | None:
    if anchor is None:
        return None
    seq, _, found = anchor.partition(":")
    return Link(int(seq), found)


async def _follow(database: Database, floor: Link, head: Link, anchor: Link | None) -> tuple[list[str], int]:
    following, count = Following(floor), 0
    wrong: list[str] = []
    met = anchor is None or anchor.seq < floor.seq or anchor == floor
    async for row in audit.rows(database, after=floor.seq, up_to=head.seq):
        count += 1
        wrong += following.step(row)
        met = met or row.link == anchor
    wrong += following.end(head)
    if not met and anchor is not None:
        wrong.append(f"row {anchor.seq} is not the one that the anchor names: the chain was made anew")
    return wrong, count
