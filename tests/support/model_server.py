"""llama.cpp's own HTTP server over a GGUF file, as a process on loopback: `python -m tests.support.model_server FILE`.

Prints its address when it listens, and ends when its standard input does.
"""

from __future__ import annotations

import sys

CONTEXT = 32_768  # tokens; a vocabulary of single characters makes a question long


def main(model: str) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.hostnames, wanted.port = ["127.0.0.1"], 0
    wanted.n_ctx, wanted.n_parallel, wanted.warmup, wanted.offline = CONTEXT, 1, False, True
    wanted.cpuparams.n_threads, wanted.use_jinja, wanted.ui = 1, True, False
    server = xllamacpp.Server(wanted)
    print(server.listening_address, flush=True)  # noqa: T201 - whoever has started it waits for this
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
