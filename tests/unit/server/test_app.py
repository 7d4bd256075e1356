"""Apps: what is registered, and what a registration refuses."""

from typing import Any

import pytest
from tests.unit.server.scripted_store import ScriptedStore

from bolide.core.errors import ConfigurationError
from bolide.server import App, Collection, Context, MethodError, PublicationStrategy, Settings
from bolide.server.access.authorize import AccessRequest, deny
from bolide.server.access.gateway import NotInTransaction
from bolide.server.logging.explained import NotBuilt, NotRunning


@pytest.fixture
def app() -> App:
    return App()


def test_an_app_begins_empty_and_denies_everything(app: App) -> None:
    assert app.settings is None
    assert app.audit is None
    assert app.authorize is deny
    assert app.publications.universal == ()


def test_an_app_keeps_its_settings() -> None:
    settings = Settings(port=4000)
    assert App(settings).settings is settings


def test_a_collection_has_a_name_ids_and_a_strategy(app: App) -> None:
    beds = app.collection("beds", id="oid", strategy=PublicationStrategy.NO_MERGE)
    assert isinstance(beds, Collection)
    assert (beds.name, beds.id_kind) == ("beds", "oid")
    assert app.strategy_of("beds") is PublicationStrategy.NO_MERGE
    assert app.strategy_of("elsewhere") is PublicationStrategy.SERVER_MERGE


@pytest.mark.parametrize("name", ["", "a$b", "system.users", "a\0b"])
def test_a_name_that_no_store_takes_is_refused(app: App, name: str) -> None:
    with pytest.raises(ConfigurationError, match="name of a collection"):
        app.collection(name)


def test_a_collection_is_made_once(app: App) -> None:
    app.collection("beds")
    with pytest.raises(ConfigurationError, match=r"keep what app\.collection returns"):
        app.collection("beds")


def test_an_unknown_kind_of_id_is_refused(app: App) -> None:
    kind: Any = "uuid"
    with pytest.raises(ConfigurationError, match='"random" or "oid"'):
        app.collection("beds", id=kind)


@pytest.mark.parametrize("option", ["phi", "clear"])
def test_an_option_that_is_not_built_is_refused(app: App, option: str) -> None:
    options: dict[str, Any] = {option: "ward"}
    with pytest.raises(NotBuilt) as caught:
        app.collection("beds", **options)
    assert str(caught.value) == (
        f"{option} of app.collection(\"beds\") is 'ward', but must be left out:"
        " it is not built yet."
    )
    app.collection("beds")


def test_publications_and_methods_are_registered_as_they_are_written(app: App) -> None:
    @app.publish("beds", public=True)
    async def beds(ctx: Context, ward: str) -> None: ...

    @app.publish(None)
    async def own_user(ctx: Context) -> None: ...

    @app.method("move")
    async def move(ctx: Context, bed: int) -> int:
        return bed

    publication, method = app.publications.find("beds"), app.methods.find("move")
    assert publication is not None
    assert method is not None
    assert (publication.handler, publication.is_public) == (beds, True)
    assert (method.handler, method.is_public) == (move, False)
    assert [universal.handler for universal in app.publications.universal] == [own_user]
    with pytest.raises(MethodError):
        method.arguments.bind(["7"])


def test_a_handler_that_cannot_be_one_is_a_type_error(app: App) -> None:
    with pytest.raises(TypeError, match=r"method move .* is not a coroutine function"):

        @app.method("move")  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
        def move(ctx: Context) -> None: ...


def test_forgotten_parentheses_are_noticed(app: App) -> None:
    decorators: list[Any] = [app.publish, app.method]

    async def handler(ctx: Context) -> None: ...

    for decorator, name in zip(decorators, ("publish", "method"), strict=True):
        with pytest.raises(TypeError) as caught:
            decorator(handler)
        assert str(caught.value) == f'Write @app.{name}("name"), not @app.{name}.'


async def test_start_up_hooks_run_in_order(app: App) -> None:
    ran: list[str] = []

    @app.on_startup
    async def first() -> None:
        ran.append("first")

    @app.on_startup
    async def second() -> None:
        ran.append("second")

    await app.run_startup_hooks()
    assert ran == ["first", "second"]


def test_a_start_up_hook_is_async(app: App) -> None:
    hook: Any = print
    with pytest.raises(TypeError, match="is not a coroutine function"):
        app.on_startup(hook)


def test_who_decides_is_set_by_the_app(app: App) -> None:
    def allow(request: AccessRequest, /) -> bool:
        return True

    app.authorize = allow
    assert app.authorize is allow


def test_a_decision_is_not_awaited(app: App) -> None:
    async def allow(request: AccessRequest, /) -> bool:
        return True

    decide: Any = allow
    with pytest.raises(TypeError, match="must be a plain function"):
        app.authorize = decide
    assert app.authorize is deny


async def test_collections_use_the_attached_store(app: App) -> None:
    beds, store = app.collection("beds"), ScriptedStore()
    with pytest.raises(NotRunning):
        await beds.find_one()
    app.attach(store)
    await beds.find_one()
    app.detach()
    with pytest.raises(NotRunning):
        await beds.find_one()
    assert len(store.asked) == 1


async def test_collections_join_the_transaction(app: App) -> None:
    beds, store = app.collection("beds"), ScriptedStore()
    app.attach(store)
    async with app.transaction():
        await beds.delete_many({})
        with pytest.raises(NotInTransaction):
            await beds.distinct("ward")
    assert [where for where, _ in store.asked] == ["transaction write"]


def test_a_collection_names_the_field_of_its_access_scope(app: App) -> None:
    assert app.collection("patients", access="ward").access == "ward"
    app.collection("beds")
    assert [app.access_of(name) for name in ("patients", "beds", "none")] == ["ward", None, None]


@pytest.mark.parametrize("field", ["", "_id", "at.ward", "$ward", "a\0b", 7, True])
def test_an_access_field_is_a_top_level_field(app: App, field: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'access of app\.collection\("patients"\)'):
        app.collection("patients", access=field)
    app.collection("patients")


def test_documents_with_scopes_can_be_taken_back(app: App) -> None:
    strategy = PublicationStrategy.NO_MERGE_NO_HISTORY
    with pytest.raises(ConfigurationError, match="could not be taken back"):
        app.collection("patients", access="ward", strategy=strategy)
    app.collection("patients", strategy=strategy)


def test_an_app_knows_whether_all_its_collections_are_merged(app: App) -> None:
    app.collection("a")
    app.collection("b", strategy=PublicationStrategy.NO_MERGE_MULTI)
    assert app.merges_all
    app.collection("c", strategy=PublicationStrategy.NO_MERGE)
    assert not app.merges_all


def test_whoever_watches_is_told_of_changed_access(app: App) -> None:
    told: list[str | None] = []
    app.watch_access(told.append)
    app.access_changed("ann")
    app.access_changed()
    app.unwatch_access(told.append)
    app.unwatch_access(told.append)
    app.access_changed("bob")
    assert told == ["ann", None]


def test_a_count_is_made_for_a_publication_to_return(app: App) -> None:
    beds = app.collection("beds")
    count = app.live_count("ward.7", beds.find({"ward": 7}, sort="bed", limit=3))
    assert count.name == "ward.7"
    assert (count.query.selector, count.query.limit) == ({"ward": 7}, 3)
