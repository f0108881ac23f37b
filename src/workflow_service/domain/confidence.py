"""How far advice is to be believed: never more than the advisor says, and never more than the evidence allows. Pure.

A model's own number is badly calibrated and can be talked up by whoever writes the alert's labels, so it is an upper
bound on what may happen without a person, never a permission.
"""

from __future__ import annotations

from workflow_service.domain.advice import Advice, Draft

MOST = 0.9  # nobody is surer than that
NOTHING_SEEN = 0.6  # neither the advisor nor we have looked at the cluster
MENDED = 0.5  # an earlier answer to the same question was refused


def weighed(draft: Draft, *, seen: bool, mended: bool) -> Advice:
    """The draft with its effective confidence: the least of what is reported and what applies.

    `seen`: there is evidence beyond the alert's own words: the advisor's tools gave some, or the question carried what
    was observed of the target. `mended`: it was not the first answer.
    """
    caps = [(MOST, "certainty")]
    caps += [] if seen else [(NOTHING_SEEN, "no_evidence")]
    caps += [(MENDED, "mended")] if mended else []
    cap, why = min(caps)
    return Advice(
        picks=draft.picks,
        suggestions=draft.suggestions,
        confidence=min(draft.reported, cap),
        reported=draft.reported,
        capped_by=why if cap < draft.reported else "",
        root_cause=draft.root_cause,
        summary=draft.summary,
    )
