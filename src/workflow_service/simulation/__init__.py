"""What would happen: real planning, guardrails and graph, dry runs instead of effects, in time that jumps.

How a plan is walked belongs into `rehearsal`; who may ask, and the shape of the answer over HTTP, into `api`.
"""
