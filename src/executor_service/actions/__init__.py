"""The actions: what each one does to the cluster or whom it tells, declared as data plus one small function each.

One module per family: `scaling`, `restarts`, `rollouts`, `resources`, `nodes`, `draining`, `diagnostics`,
`notifications`, `undoing`. `run` is what a function may use; it makes every effect conditional, recorded before it is
sent, and settled after a crash.
Not here: HTTP, waiting callers, and the life of an action as a whole (see `execution`).
"""
