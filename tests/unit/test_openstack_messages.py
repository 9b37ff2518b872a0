"""Error messages of Keystone and Neutron as they appear in conditions."""

from isthmus.adapters.openstack.translation import translated
from isthmus.model import errors


def test_same_problem_has_the_same_message() -> None:
    """A request ID in the message would cause a status write, and wake the loop, each time."""
    texts = set()
    for number in ("0b5c4a7e-1f2d-4c3b-9a8e-000000000001", "0b5c4a7e-1f2d-4c3b-9a8e-000000000002"):
        try:
            with translated("identity"):
                raise OSError(
                    f"The request you have made requires authentication. (HTTP 401) (Request-ID: req-{number})"
                )
        except errors.Unavailable as error:
            texts.add(str(error))
    assert texts == {"identity: The request you have made requires authentication. (HTTP 401)"}
