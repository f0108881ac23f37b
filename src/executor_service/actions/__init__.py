"""The actions: what each one does to the cluster or whom it tells, declared as data plus one small function each.

One module per family or long action (`catalogue` lists them), `undoing` for the way back. `spec` and `requirements` are
how an action is declared; `jobs` is how work inside the cluster is done. `run` is what a function may use; it makes
every effect conditional, recorded before it is sent, and settled after a crash.
Not here: HTTP, waiting callers, and the life of an action as a whole (see `execution`).
"""
