"""A language model of 37,000 random weights, written here as a GGUF file: it knows nothing, and answers all the same.

Under a grammar it writes documents of the right shape with meaningless content: a fuzzer for what reads them. Source of
the file format: ggml's `docs/gguf.md`, version 3. One dimension of the residual stream is kept constant, so that the
first column of the output's weights is a bias for each token: quotes and brackets are likely, so that answers say
something and end, and bytes are not, since random ones are no UTF-8.
"""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LAYERS, WIDTH, HEADS, CONTEXT = 1, 32, 2, 32_768
FEED_FORWARD = 2 * WIDTH
_ALIGNMENT = 32
_U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 4, 6, 7, 8, 9, 5  # types of values
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6  # types of tokens
_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Tensor = tuple[str, tuple[int, ...], "array[float]"]  # name, dimensions with the innermost first, values


def write(path: Path, *, seed: int = 0) -> Path:
    """Write the model; another seed is another model."""
    tokens = list(_vocabulary())
    # Numbers of a toy, no secrets.
    tensors = list(_tensors([text for text, _, _ in tokens], [kind for _, _, kind in tokens], random.Random(seed)))  # noqa: S311
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0))
    count = 0
    for key, kind, value in _metadata(tokens):
        head += _string(key) + struct.pack("<I", kind) + _value(kind, value)
        count += 1
    struct.pack_into("<Q", head, 16, count)
    data = bytearray()
    for name, dimensions, values in tensors:
        head += _string(name) + struct.pack("<I", len(dimensions)) + struct.pack(f"<{len(dimensions)}Q", *dimensions)
        head += struct.pack("<IQ", 0, len(data))  # 0: 32-bit floats
        data += values.tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
    path.write_bytes(bytes(head) + bytes(-len(head) % _ALIGNMENT) + bytes(data))
    return path


def _vocabulary() -> Iterator[tuple[str, float, int]]:
    """Token, score and type: the special ones, every byte, every printable character, the marks of a chat."""
    yield "<unk>", 0.0, _UNKNOWN
    yield "<s>", 0.0, _CONTROL
    yield "</s>", 0.0, _CONTROL
    for byte in range(256):
        yield f"<0x{byte:02X}>", 0.0, _BYTE
    for code in range(32, 127):
        yield "\u2581" if code == 32 else chr(code), -1.0 - code / 1000, _NORMAL
    for role in ("system", "user", "assistant"):
        yield f"<|{role}|>", 0.0, _CONTROL


def _bias(text: str, kind: int) -> float:
    if text == "</s>":
        return 3.0
    if kind != _NORMAL:
        return -30.0
    likely = {'"': 3.5, "{": 3.0, "}": 3.0, "]": 2.0, ",": 1.0}
    return likely.get(text, -2.0 if text in "[\\<>" else 0.0)


def _metadata(tokens: Sequence[tuple[str, float, int]]) -> Iterator[tuple[str, int, Any]]:
    yield "general.architecture", _STRING, "llama"
    yield "general.name", _STRING, "tiny-random"
    numbers = {
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "rope.dimension_count": WIDTH // HEADS,
        "vocab_size": len(tokens),
    }
    for name, number in numbers.items():
        yield f"llama.{name}", _U32, number
    yield "llama.attention.layer_norm_rms_epsilon", _F32, 1e-5
    yield "tokenizer.ggml.model", _STRING, "llama"
    yield "tokenizer.ggml.tokens", _ARRAY, (_STRING, [text for text, _, _ in tokens])
    yield "tokenizer.ggml.scores", _ARRAY, (_F32, [score for _, score, _ in tokens])
    yield "tokenizer.ggml.token_type", _ARRAY, (_I32, [kind for _, _, kind in tokens])
    for name, token in (("unknown", 0), ("bos", 1), ("eos", 2)):
        yield f"tokenizer.ggml.{name}_token_id", _U32, token
    for name, wanted in (("add_bos_token", True), ("add_eos_token", False), ("add_space_prefix", False)):
        yield f"tokenizer.ggml.{name}", _BOOL, wanted
    yield "tokenizer.chat_template", _STRING, _TEMPLATE


def _tensors(texts: Sequence[str], kinds: Sequence[int], chance: random.Random) -> Iterator[Tensor]:
    def matrix(rows: int, columns: int, scale: float = 1.0) -> array[float]:
        spread = scale / columns**0.5
        return array("f", [chance.gauss(0.0, spread) for _ in range(rows * columns)])

    def without_first_row(values: array[float], columns: int) -> array[float]:
        values[:columns] = array("f", bytes(4 * columns))
        return values

    ones = array("f", [1.0] * WIDTH)
    embedding, output = matrix(len(texts), WIDTH, 0.1), matrix(len(texts), WIDTH)
    for token, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
        embedding[token * WIDTH] = 4.0
        output[token * WIDTH] = _bias(text, kind) / WIDTH**0.5
    yield "token_embd.weight", (WIDTH, len(texts)), embedding
    yield "output_norm.weight", (WIDTH,), ones
    yield "output.weight", (WIDTH, len(texts)), output
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        yield f"{at}attn_norm.weight", (WIDTH,), ones
        yield f"{at}ffn_norm.weight", (WIDTH,), ones
        for part in ("attn_q", "attn_k", "attn_v"):
            yield f"{at}{part}.weight", (WIDTH, WIDTH), matrix(WIDTH, WIDTH, 0.5)
        yield f"{at}attn_output.weight", (WIDTH, WIDTH), without_first_row(matrix(WIDTH, WIDTH, 0.5), WIDTH)
        for part in ("ffn_gate", "ffn_up"):
            yield f"{at}{part}.weight", (WIDTH, FEED_FORWARD), matrix(FEED_FORWARD, WIDTH)
        yield (
            f"{at}ffn_down.weight",
            (FEED_FORWARD, WIDTH),
            without_first_row(matrix(WIDTH, FEED_FORWARD), FEED_FORWARD),
        )


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _string(value)
    if kind == _ARRAY:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(_value(inner, one) for one in values)
    return struct.pack({_U32: "<I", _F32: "<f", _BOOL: "<?", _I32: "<i"}[kind], value)
