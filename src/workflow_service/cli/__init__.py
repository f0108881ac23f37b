"""Groups of commands of `workflow-service`. Everything heavy is imported inside the commands: --help answers at once.

Belongs here: reading arguments, printing, exit codes. Does not belong here: what the commands do.
"""
