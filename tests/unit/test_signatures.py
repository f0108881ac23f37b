"""Signed webhooks: what holds, what does not, and two secrets at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import pytest

from tests.support.signing import pagerduty, standard
from workflow_service.domain.signatures import BadSignature, Signed, is_signed, verify

OLD, NEW, NOW = b"o" * 24, b"n" * 32, 1_795_000_000.0
BODY = b'{"alerts": []}'


def checked(headers: Mapping[str, str], body: bytes = BODY, *, now: float = NOW) -> Signed:
    """What the signature proves, with both secrets active."""
    return verify(headers, body, secrets=[OLD, NEW], now=now)


def test_the_example_of_the_standard() -> None:
    """The example that Standard Webhooks publishes with its libraries holds."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    found = verify(headers, b'{"test": 2432232314}', secrets=[secret], now=1614265330.0)
    assert found == Signed("standard", "msg_p5jXN8AQM9LWM0D4loKWxJek")


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_both_secrets_are_active(secret: bytes) -> None:
    """While one secret follows the other, either signs; so does a sender that signs with several."""
    assert checked(standard(secret, BODY, now=NOW, message_id="m-1")) == Signed("standard", "m-1")
    assert checked(pagerduty(secret, BODY)) == Signed("pagerduty", None)
    several = standard(secret, BODY, now=NOW)
    several["webhook-signature"] = f"v1a,abc v1,{'x' * 44} {several['webhook-signature']}"
    assert checked(several).scheme == "standard"


@pytest.mark.parametrize("offset", [-301, 301, 10**9])
def test_the_replay_window(offset: int) -> None:
    """What was signed long ago, or in the future, proves nothing; at the edge it still does."""
    with pytest.raises(BadSignature, match="webhook-timestamp"):
        checked(standard(OLD, BODY, now=NOW + offset))
    assert checked(standard(OLD, BODY, now=NOW - 300)).scheme == "standard"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "another"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(int(NOW) + 1)},
        {"webhook-timestamp": "now"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,!!!"},
        {"webhook-signature": "v2,abc"},
    ],
)
def test_what_does_not_hold(change: dict[str, str]) -> None:
    """Every part is covered: another id, time or signature proves nothing, and neither does another body."""
    with pytest.raises(BadSignature):
        checked({**standard(OLD, BODY, now=NOW), **change})
    with pytest.raises(BadSignature):
        checked(standard(OLD, BODY, now=NOW), BODY + b" ")
    with pytest.raises(BadSignature):
        checked(standard(b"x" * 24, BODY, now=NOW))


@pytest.mark.parametrize("value", ["", "v1=", "v1=zz", "v0=" + "0" * 64, "v1=" + "0" * 64])
def test_what_does_not_hold_for_pagerduty(value: str) -> None:
    """A wrong, empty or unreadable signature proves nothing."""
    with pytest.raises(BadSignature):
        checked({"x-pagerduty-signature": value})


def test_nothing_is_signed() -> None:
    """Without any signature there is nothing to check, and with no secret nothing holds."""
    assert not is_signed({"authorization": "Bearer x"})
    assert is_signed(pagerduty(OLD, BODY))
    with pytest.raises(BadSignature, match="no signature"):
        checked({})
    with pytest.raises(BadSignature):
        verify(pagerduty(OLD, BODY), BODY, secrets=[], now=NOW)


def test_pagerduty_signs_the_body_in_hex() -> None:
    """Several signatures may stand there; the hex digest of the raw body is what counts."""
    digest = hmac.new(OLD, BODY, hashlib.sha256).hexdigest()
    assert checked({"x-pagerduty-signature": f"v1={'0' * 64}, v1={digest}"}).scheme == "pagerduty"
