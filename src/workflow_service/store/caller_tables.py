"""The tables about callers: their keys, what they have written, what they asked for under a key of their own."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Document, Moment
from workflow_service.store.metadata import metadata

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # part of the key itself, and no secret
    sa.Column("name", sa.Text, nullable=False),  # the identity; keys that follow each other share it
    sa.Column("digest", sa.Text, nullable=False),  # SHA-256 of the whole key, in hex
    sa.Column("rights", Document, nullable=False),
    sa.Column("namespaces", Document),  # NULL: all
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.Column("used_at", Moment),  # lately; noted once in a while
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),  # so that nothing is written twice when an answer is lost
    sa.Column("at", Moment, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

audit_chain = sa.Table(
    "audit_chain",
    metadata,
    sa.Column("end", sa.Text, primary_key=True),  # head: the newest row; floor: the newest that was forgotten
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("caller", sa.Text, primary_key=True),  # keys of one caller mean nothing to another
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.Text, nullable=False),  # a hash of method, path, query and body
    sa.Column("begun_at", Moment, nullable=False, index=True),
    sa.Column("claim", sa.Text, nullable=False),  # which request is under way
    sa.Column("replica", sa.Text),  # on which replica; NULL: of a time when that was not written down
    sa.Column("status", sa.Integer),  # of the answer; NULL: it is under way
    sa.Column("headers", Document),
    sa.Column("body", sa.LargeBinary),
)
