"""Places: how many actions are under way in a namespace or a node pool. In memory; restored from the audit."""


class Places:
    """Each action holds one place at most, from its first effect to its end."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def enter(self, key: str, place: str, *, limit: int) -> bool:
        """Take a place, or keep the one that is held; False when all are taken (a limit of 0 is none)."""
        if key in self._held:
            return True
        if limit and sum(held == place for held in self._held.values()) >= limit:
            return False
        self._held[key] = place
        return True

    def restore(self, key: str, place: str) -> None:
        """An action that has begun keeps its place over a restart, whatever the limit says now."""
        self._held[key] = place

    def held_by(self, key: str) -> str | None:
        """The place of an action."""
        return self._held.get(key)

    def leave(self, key: str) -> None:
        """The action has ended, or waits for a restart."""
        self._held.pop(key, None)
