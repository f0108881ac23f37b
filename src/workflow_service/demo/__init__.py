"""The service with everything it needs beside it, for a newcomer's first minutes.

Belongs here: starting the sandbox cluster, the executor and this service as processes of their own, and telling the
story of three alerts over the public APIs. Does not belong here: anything that production uses or imports.
"""
