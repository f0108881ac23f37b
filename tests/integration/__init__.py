"""Parts put together: real databases, the real queue, real HTTP."""
