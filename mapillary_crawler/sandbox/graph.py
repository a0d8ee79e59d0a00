"""The Graph API: token, routes and rows."""

from __future__ import annotations

import re
import time
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from . import errors, fields, hostile
from .answer import Answer
from .listing import BadRequestError, Listing, in_box, parse, parse_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .answer import Request
    from .catalogue import Catalogue
    from .cdn import Cdn
    from .image import Image
    from .listing import Search
    from .weather import Chance

TOKEN = "MLY|4410152892354321|5a1d0b0c7f6e4d3c2b1a09f8e7d6c5b4"  # noqa: S105 - the sandbox's own
_TOKEN_SHAPE = re.compile(r"MLY\|\d{15,17}\|[0-9a-f]{32}")
#: A bounding box looks through no more images than this.
_BOX_SEARCH = 20_000


class Graph:
    """Answers requests to the Graph API."""

    def __init__(self, catalogue: Catalogue, cdn: Cdn, chance: Chance, token: str = TOKEN) -> None:
        self.catalogue = catalogue
        self.cdn = cdn
        self.chance = chance
        self.token = token
        self.listing = Listing(chance)
        #: Requests so far; faults that begin "after" some count these.
        self.requests = 0

    def answer(self, request: Request, nth: int) -> Answer:
        """Answer a request, the nth for this path and query."""
        self.requests += 1
        refusal = self._refuse_token(request) or self._error(request, nth)
        if refusal:
            return refusal
        try:
            answer = self._route(request)
        except BadRequestError as error:
            return error.answer
        return self._spoil(request, nth, answer)

    def gone(self, image: Image) -> bool:
        """Whether an image no longer exists."""
        return image.dead or self._vanished(image)

    def _vanished(self, image: Image) -> bool:
        if self.requests <= self.chance.faults.api.vanish_after:
            return False
        return self.chance.holds("api", "vanish", image.image_id)

    def _listed(self, image: Image) -> bool:
        faults = self.chance.faults.api
        if image.late and not 0 <= faults.appear_after < self.requests:
            return False
        return faults.vanish_listed or not self._vanished(image)

    def _refuse_token(self, request: Request) -> Answer | None:
        header = request.headers.get("Authorization")
        query = request.query.get("access_token")
        faults = self.chance.faults.api
        if faults.refuse_token:
            return errors.TOKEN[faults.refuse_token].answer()
        if 0 <= faults.token_dies_after < self.requests:
            return errors.TOKEN[faults.token_death].answer()
        sent = header.removeprefix("OAuth ") if header is not None else query
        if not sent:
            return errors.TOKEN["missing"].answer()
        if sent == self.token:
            return None
        if sent.startswith(self.token):
            return errors.TOKEN["extra_character"].answer()
        if _TOKEN_SHAPE.fullmatch(sent):
            kind = "never_issued" if header is not None else "never_issued_query"
        else:
            kind = "undecodable" if header is not None else "unparsable"
        return errors.TOKEN[kind].answer()

    def _error(self, request: Request, nth: int) -> Answer | None:
        """Return an error of the seeded faults, None if the request is spared."""
        for fault, error in _TRANSIENT:
            if self.chance.strikes("api", fault, request.target, nth):
                return error.answer()
        if self.chance.strikes("api", "error_in_200", request.target, nth):
            return Answer(200, errors.UNKNOWN.answer().body)
        return None

    def _spoil(self, request: Request, nth: int, answer: Answer) -> Answer:
        """Damage a good answer where a fault strikes."""
        if self.chance.strikes("api", "silent_empty", request.target, nth):
            return Answer.of_json({} if request.path == "/" else {"data": []})
        if self.chance.strikes("api", "broken_json", request.target, nth):
            return Answer(200, answer.body[: len(answer.body) * 2 // 3])
        if self.chance.strikes("api", "deep_json", request.target, nth):
            return Answer(200, b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
        return answer

    def _route(self, request: Request) -> Answer:
        asked = [each for each in request.query.get("fields", "").split(",") if each]
        wanted = frozenset(each.partition(".")[0] for each in asked)
        name = request.path.removeprefix("/")
        user = self.catalogue.find_user(name)
        if user and name == user.identity:
            return Answer.of_json({"username": user.name, "id": user.identity})
        for each in wanted:
            if each not in fields.NAMES:
                raise BadRequestError(errors.UNKNOWN_FIELD.answer(field=each))
        match name:
            case "images":
                return self._images(request, wanted)
            case "image_ids":
                images = self.catalogue.sequence(request.query.get("sequence_id", ""))
                return Answer.of_json({"data": [{"id": each.image_id} for each in images]})
            case "" if "ids" in request.query:
                return self._entities(request, wanted)
        # A slash at the end is allowed, but hostile ids may have one of their own.
        image = self.catalogue.find(name) or self.catalogue.find(name.removesuffix("/"))
        if image is None or self.gone(image):
            return errors.GONE.answer(id=name)
        return Answer.of_json(self._row(image, wanted, request))

    def _entities(self, request: Request, wanted: frozenset[str]) -> Answer:
        """Answer `/?ids=…`: an object keyed by id, with holes for what does not exist."""
        faults = self.chance.faults.api
        ids = request.query["ids"].split(",")
        if faults.batch_max and len(ids) > faults.batch_max:
            return errors.TOO_MANY_IDS.answer(maximum=faults.batch_max, provided=len(ids))
        rows = {}
        for each in ids:
            image = self.catalogue.find(each)
            if image is not None and not self.gone(image):
                rows[each] = self._row(image, wanted, request)
            elif faults.batch == "fail":
                return errors.GONE.answer(id=each)
        return Answer.of_json(rows)

    def _images(self, request: Request, wanted: frozenset[str]) -> Answer:
        faults = self.chance.faults.api
        if faults.too_much_above and parse_limit(request) > faults.too_much_above:
            return errors.TOO_MUCH.answer()
        name = request.query.get("creator_username")
        user = self.catalogue.find_user(name) if name is not None else None
        if "bbox" in request.query:
            return self._box(request, wanted, None if user is None else user.images())
        if user is None or user.name != name:
            if faults.unknown_user == "error":
                return errors.UNKNOWN_USER.answer(username=name)
            return Answer.of_json({"data": []})
        return self._page(request, parse(request, user, self.catalogue.seed), wanted)

    def _page(self, request: Request, search: Search, wanted: frozenset[str]) -> Answer:
        images, following, after = self.listing.page(search, self.requests, self._listed)
        rows = self._rows(images, wanted, request)
        if self.chance.strikes("api", "no_computed_page", search.user.name, after.position):
            for row in rows:
                row.pop("computed_geometry", None)
        answer: dict[str, Any] = {"data": rows}
        in_query = "Authorization" not in request.headers
        paging = self.listing.paging(request, following, after, in_query)
        if paging is not None and (rows or following):
            answer["paging"] = paging
        return Answer.of_json(answer)

    def _box(
        self, request: Request, wanted: frozenset[str], images: Iterator[Image] | None
    ) -> Answer:
        everything = chain.from_iterable(each.images() for each in self.catalogue.users)
        searched = islice(images or everything, _BOX_SEARCH)
        found = in_box(request, searched, parse_limit(request))
        return Answer.of_json({"data": self._rows(found, wanted, request)})

    def _rows(
        self, images: Iterable[Image], wanted: frozenset[str], request: Request
    ) -> list[dict[str, Any]]:
        return [self._row(image, wanted, request, listed=True) for image in images]

    def _row(
        self, image: Image, wanted: frozenset[str], request: Request, *, listed: bool = False
    ) -> dict[str, Any]:
        row = image.row(wanted)
        for field, quality in fields.THUMBS.items():
            if field in wanted and image.has_url(quality, listed=listed):
                row[field] = image.bad_url or self._url(image, quality, request.origin)
        if self.chance.faults.api.echo_token:
            hostile.echo(row, self.token)
        return row

    def _url(self, image: Image, quality: str, origin: str) -> str:
        faults = self.chance.faults.cdn
        if faults.hosts:
            host = faults.hosts[self.requests % len(faults.hosts)]
            origin = f"http://{host}:{origin.rpartition(':')[2]}"
        # About 30 days less one to six hours; short lifetimes in proportion.
        expires = int(time.time() + faults.lifetime * (1 - (1 + 5 * image.share) / 720))
        if self.chance.strikes("cdn", "expired", image.image_id, self.requests):
            expires = int(time.time()) - 60
        url = self.cdn.url(image, quality, origin, expires)
        if self.chance.strikes("cdn", "altered", image.image_id, self.requests):
            url = url.replace("&oh=00_Af", "&oh=00_Ag")
        return url


_TRANSIENT = (
    ("rate_limited", errors.RATE_LIMIT),
    ("temporary", errors.TEMPORARY),
    ("query_timeout", errors.TIMEOUT),
    ("unknown_error", errors.UNKNOWN),
    ("too_much", errors.TOO_MUCH),
)
