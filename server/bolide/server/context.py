"""The context: what a publish function or a method is given."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, cast

import structlog
from structlog.typing import FilteringBoundLogger

from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import AuthError, LocalProtocolError
from bolide.core.values import UNDEFINED, Fields, normalize
from bolide.server.access.authorize import AccessRequest, Authorize, deny
from bolide.server.access.decisions import LoginRequest, Question, decide
from bolide.server.access.invocation import Invocation, PublishedOutside, SessionInfo
from bolide.server.logging.explained import Explained
from bolide.server.random_ids import random_seed
from bolide.server.stores.base import AccessFilter

__all__ = ["Context", "SessionInfo", "WrongHandler"]


class PublicationHost(Protocol):
    """What the context of a publish function asks the session's driver for."""

    def unblock(self) -> None:
        """Let the next message of the session begin."""
        ...

    def upholds(self, invocation: Invocation) -> bool:
        """Tell whether session, user and decisions of the run are still what they were."""
        ...

    # An ``_id`` is what the application made it: mostly str or ObjectId.
    def added(self, collection: str, id: Any, fields: Fields) -> None:
        """Publish a document."""
        ...

    def changed(self, collection: str, id: Any, fields: Fields) -> None:
        """Publish new values of fields; UNDEFINED clears one."""
        ...

    def removed(self, collection: str, id: Any) -> None:
        """Take a document back."""
        ...

    def ready(self) -> None:
        """Say that the initial documents were published."""
        ...

    def stop(self) -> None:
        """End the subscription."""
        ...

    def error(self, error: BaseException) -> None:
        """End the subscription with an error."""
        ...

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the subscription ends, at once if it has."""
        ...


class MethodHost(Protocol):
    """What the context of a method asks the session's driver for."""

    def unblock(self) -> None:
        """Let the next message of the session begin."""
        ...

    def upholds(self, invocation: Invocation) -> bool:
        """Tell whether session, user and decisions of the run are still what they were."""
        ...

    async def set_user_id(self, user_id: str | None) -> None:
        """Change who is logged in; returns when all subscriptions ran again."""
        ...

    # Arguments and results of methods: any value.
    async def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Run another method for the same person and session."""
        ...


class WrongHandler(Explained, LocalProtocolError):
    """A publish function used what only methods have, or the other way round."""

    code: ClassVar[str] = "wrong-handler"

    def __init__(self, member: str, handler: str, owner: str) -> None:
        """Keep what was used where.

        Args:
            member: Name of the attribute of the context.
            handler: Kind and name of the handler.
            owner: Which handlers have it, in the plural.
        """
        super().__init__(member, handler, owner)
        self.member = member
        self.handler = handler
        self.owner = owner

    def __str__(self) -> str:
        """Say where it works."""
        return f"The {self.handler} used ctx.{self.member}, which only {self.owner} have."


class Context:
    """What a handler knows and may do; its first argument."""

    __slots__ = ("_access_of", "_authorize", "_host", "_invocation", "_log")

    def __init__(
        self,
        invocation: Invocation,
        host: PublicationHost | MethodHost,
        authorize: Authorize,
        access_of: Callable[[str], str | None],
    ) -> None:
        """Make the context of one run.

        Args:
            invocation: The run.
            host: What the session's driver does for it; of the invocation's kind.
            authorize: Who decides.
            access_of: The field that holds the access scope of a collection, by name.
        """
        self._invocation = invocation
        self._host = host
        self._authorize = authorize
        self._access_of = access_of
        self._log: FilteringBoundLogger | None = None

    @property
    def log(self) -> FilteringBoundLogger:
        """A structured logger, bound to the session and the handler's name.

        Log names and counts, never documents or arguments: they are patient data.
        """
        log = self._log
        if log is None:
            session = self._invocation.session
            log = self._log = structlog.get_logger("bolide.app").bind(
                session=None if session is None else session.id, handler=self._invocation.handler
            )
        return log

    @property
    def user_id(self) -> str | None:
        """Who is logged in, None if nobody is."""
        return self._invocation.user_id

    @property
    def session(self) -> SessionInfo | None:
        """The session: ``id``, ``client_address``, ``headers``, ``close()``.

        None if the server itself called the method.
        """
        return self._invocation.session

    def require_login(self) -> str:
        """Go on only if somebody is logged in; returns who.

        Raises:
            AuthError: If nobody is; the client sees 403.
        """
        user_id = self._invocation.user_id
        self._decide(LoginRequest(user_id))
        assert user_id is not None
        return user_id

    def require(self, permission: str, access_scope: str | None = None) -> None:
        """Go on only if the person has a permission.

        With an access scope it also opens that scope, for the rest of the run and for reading and
        writing alike: of a collection with ``access=`` only what is in an open scope exists.

        Args:
            permission: What, such as ``"ward:read"``.
            access_scope: Where, such as ``"ward/7"``; None for everywhere, which opens no scope.

        Raises:
            AuthError: If not; the client sees 403 and not why.
            TypeError: If the access scope is no string.
        """
        if not isinstance(access_scope, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"An access scope is a string, not a {type(access_scope).__name__}.")
        self._decide(AccessRequest(self._invocation.user_id, permission, access_scope))
        if access_scope is not None:
            self._invocation.opened.add(access_scope)

    @property
    def is_current(self) -> bool:
        """Whether the session is still open, of the same user, and all is still allowed that was.

        Much may happen while a handler waits. Only meant where there is a :attr:`session`.
        """
        return self._host.upholds(self._invocation)

    def unblock(self) -> None:
        """Let the session's next message begin before this handler ends."""
        self._host.unblock()

    # An ``_id`` is what the application made it: mostly str or ObjectId.
    def added(self, collection: str, id: Any, fields: Fields) -> None:
        """Publish a document.

        Args:
            collection: Name of the collection in the client.
            id: The document's ``_id``.
            fields: Its top-level fields; ``_id`` among them is ignored.

        Raises:
            TypeError: If a value is of a type that no document may hold.
            PublishedOutside: If the collection has access scopes and the document is in none that
                this run opened.
        """
        host = self._publishing("added")
        self._invocation.check_exit(f"published a document of {collection}")
        whole = normalize(_without_id(fields))
        self._check_inside(collection, whole, "published a document of", is_whole=True)
        host.added(collection, normalize(id), whole)

    def changed(self, collection: str, id: Any, fields: Fields) -> None:
        """Publish new values of fields of a document that was added.

        Args:
            collection: Name of the collection in the client.
            id: The document's ``_id``.
            fields: The new values; UNDEFINED clears a field.

        Raises:
            TypeError: If a value is of a type that no document may hold.
            PublishedOutside: If it would take the document out of the scopes that this run opened.
        """
        host = self._publishing("changed")
        self._invocation.check_exit(f"published a change of {collection}")
        values = {
            name: value if value is UNDEFINED else normalize(value)
            for name, value in _without_id(fields).items()
        }
        self._check_inside(collection, values, "published a change of", is_whole=False)
        host.changed(collection, normalize(id), values)

    def removed(self, collection: str, id: Any) -> None:
        """Take back a document that was added."""
        self._publishing("removed").removed(collection, normalize(id))

    def ready(self) -> None:
        """Say that the initial documents were published."""
        host = self._publishing("ready")
        self._invocation.check_exit("said that it is ready")
        host.ready()

    def stop(self) -> None:
        """End the subscription, without an error."""
        self._publishing("stop").stop()

    def error(self, error: BaseException) -> None:
        """End the subscription with an error.

        Args:
            error: A ``MethodError`` reaches the client as it is; of all others it sees 500.
        """
        self._publishing("error").error(error)

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the subscription ends; at once if it has."""
        self._publishing("on_stop").on_stop(callback)

    async def set_user_id(self, user_id: str | None) -> None:
        """Change who is logged in, and run the session's subscriptions again for them.

        Args:
            user_id: Who; None for nobody.
        """
        await self._calling("set_user_id").set_user_id(user_id)
        self._invocation.user_id = user_id

    @property
    def random(self) -> SeededStreams:
        """The streams that the client's optimistic run draws from, too.

        ``.id()``, ``.hex(n)``, ``.fraction()``, ``.stream(name)``.
        """
        self._calling("random")
        streams = self._invocation.random
        if streams is None:
            streams = self._invocation.random = SeededStreams(random_seed())
        return streams

    def call(self, name: str, *args: Any) -> Awaitable[Any]:
        """Run another method, for the same person and session; it decides for itself.

        Args:
            name: Name of the method.
            args: Its arguments.

        Returns:
            What it returns; its errors are raised here.
        """
        return self._calling("call").call(name, args)

    def _decide(self, question: Question) -> None:
        invocation = self._invocation
        allowed = decide(question, self._authorize, lambda: self.log)
        invocation.decisions.remember(question, allowed)
        if not allowed:
            if self._authorize is deny and isinstance(question, AccessRequest):
                self.log.warning(
                    "ctx.require refuses everybody, because nobody decides: set app.authorize to"
                    " a function that takes a request and returns True to allow it"
                )
            raise AuthError
        invocation.is_decided = True

    def _check_inside(
        self, collection: str, fields: Fields, action: str, *, is_whole: bool
    ) -> None:
        """Make sure that what is published by hand is in an open access scope."""
        field = self._access_of(collection)
        if field is None:
            return
        opened = self._invocation.open_scopes(f"{action} {collection}")
        if (is_whole or field in fields) and not AccessFilter(field, opened).admits(fields):
            raise PublishedOutside(self._invocation.handler, collection, field)

    def _publishing(self, member: str) -> PublicationHost:
        if self._invocation.kind != "publication":
            raise WrongHandler(member, self._invocation.handler, "publications")
        return cast("PublicationHost", self._host)

    def _calling(self, member: str) -> MethodHost:
        if self._invocation.kind != "method":
            raise WrongHandler(member, self._invocation.handler, "methods")
        return cast("MethodHost", self._host)


def _without_id(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != "_id"}
