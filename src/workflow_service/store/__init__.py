"""What is kept: tables, the two engines that reach them, the journal, and the reads that the API needs.

Belongs here: SQL (SQLAlchemy Core) and nothing but SQL, one code for SQLite and PostgreSQL, and the Alembic migrations.
Does not belong here: decisions (domain), waiting and timing (engine), shapes of HTTP answers (api).
"""
