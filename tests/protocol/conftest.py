"""How long hypothesis looks; more is `--hypothesis-profile=long`."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "short", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("short")
