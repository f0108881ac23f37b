"""How often this process looks for garbage that only a search finds."""

import gc

_NEW_OBJECTS = 10_000  # containers made and not freed, between two searches among the young: five to ten milliseconds
_YOUNG, _MIDDLE = 50, 50  # searches among these, until one among those that survived them


def search_seldom() -> None:
    """Call once everything that stays has been made: it is not searched again, and what is new far less often.

    Nearly all that a workflow leaves is freed as soon as nobody knows it; looking for the rest as often as Python does
    by default costs a seventh of the service's CPU. The price is at most some tens of megabytes that are freed later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG, _MIDDLE)
