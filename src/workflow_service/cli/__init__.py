"""The command line for people who work with a running service: what it is told, and how answers are shown.

Belongs here: commands that speak to the API over HTTP. Does not belong here: anything that looks into the database.
"""
