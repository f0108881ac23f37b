"""What is true without any machinery: values, tables and decisions.

Belongs here: frozen dataclasses, state tables, pure functions over them (`decide`, `fold`, graph, retry, rollback).
Does not belong here: anything that waits, reads a clock, draws a random number, logs, or knows a library's types.
`now` and jitter always come in as arguments, so that every answer can be repeated and tested.
"""
