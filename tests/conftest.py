"""What all tests share: how hard hypothesis tries."""

from tests import settings_of_hypothesis

settings_of_hypothesis.load()
