from bolide.core.errors import BolideError
from bolide.core.minimongo.errors import MinimongoError


def test_is_an_error_of_bolide_with_a_code_of_its_own() -> None:
    error = MinimongoError("Unrecognized operator $foo.")
    assert isinstance(error, BolideError)
    assert error.code == "minimongo-error"
    assert str(error) == "Unrecognized operator $foo."
