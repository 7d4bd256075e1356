from bolide.core.errors import BolideError
from bolide.core.minimongo.errors import MatchTimeout, MinimongoError


def test_is_an_error_of_bolide_with_a_code_of_its_own() -> None:
    error = MinimongoError("Unrecognized operator $foo.")
    assert isinstance(error, BolideError)
    assert error.code == "minimongo-error"
    assert str(error) == "Unrecognized operator $foo."


def test_a_timeout_names_its_limit() -> None:
    assert str(MatchTimeout(0.1)).startswith("A regular expression took longer than 0.1 s")
    assert MatchTimeout(0.1).code == "minimongo-error"
