"""The token, the Graph API and the clock, by one cheap question."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome
from mapillary_crawler.collection.token import read_token, secrets_of
from mapillary_crawler.crawl.doctor.asking import NoReply, Reply, Silence, ask
from mapillary_crawler.crawl.doctor.finding import Finding, fault, fault_of, note, ok, warning
from mapillary_crawler.graph.answers import Answer, Meaning, read_answer
from mapillary_crawler.graph.api import cheap_url
from mapillary_crawler.terminal.quantities import duration
from mapillary_crawler.terminal.redaction import Redactor

#: Seconds for the answer; a person waits.
TIMEOUT = 20.0
#: Seconds that a clock may be off: TLS and signed URLs bear a minute.
_CLOCK = 60
_QUOTES = "\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
#: Graph API: MLY|application|secret, the shape of every client token that is known.
_SHAPE = re.compile(r"MLY\|\d+\|[0-9a-f]{32}")
_FROM_WHERE = "https://www.mapillary.com/dashboard/developers"
_COPY = f"copy it again from {_FROM_WHERE}"
#: What an answer means where the token was taken: the API has looked at the question.
_TAKEN = frozenset({Meaning.DATA, Meaning.GONE, Meaning.FIELD_UNKNOWN})
_SILENCE = {
    Silence.NO_NAME: (
        "its name leads nowhere",
        "see whether this machine is on the network, and its DNS",
    ),
    Silence.NO_CONNECTION: (
        "there is no connection",
        "see whether this machine is on the network, and its firewall; else try again later",
    ),
    Silence.TIMEOUT: (
        "there is no answer in time",
        "try again later; a firewall may swallow what is sent",
    ),
    Silence.CERTIFICATE: (
        "nobody vouches for its certificate",
        "see this machine's clock and its certificates (package ca-certificates); a proxy that "
        "reads along needs its own among them: SSL_CERT_FILE",
    ),
    Silence.PROXY: (
        "it is not reached through the proxy of the environment",
        "see http_proxy and https_proxy, or name the host in NO_PROXY",
    ),
}


def service(api_url: str, environment: Mapping[str, str], user_agent: str) -> list[Finding]:
    """Ask the API, with the token where it has a form that can be sent; return three findings.

    `api_url` is one that may have the token (collection/configuration.py).
    """
    form = token_form(environment)
    headers = {"User-Agent": user_agent, "Accept": "application/json"}
    if form is None:
        headers["Authorization"] = f"OAuth {read_token(environment)}"
    reply = ask(cheap_url(api_url), headers, TIMEOUT)
    if isinstance(reply, NoReply):
        return [form or _not_asked(environment), _silent(api_url, reply), _no_date()]
    redactor = Redactor(secrets=secrets_of(environment), hosts=())
    answer = read_answer(reply.status, reply.body, redactor=redactor)
    return [
        form or _token(answer, environment),
        _api(api_url, answer, reply),
        _no_date() if reply.ahead is None else clock(reply.ahead),
    ]


def token_form(environment: Mapping[str, str]) -> Finding | None:
    """Return what is wrong with the token that need not be asked about, None for nothing."""
    value = environment.get("MAPILLARY_TOKEN", "").strip()
    if value and (value[0] in _QUOTES or value[-1] in _QUOTES):
        return fault(
            "token", Outcome.REFUSED, "there are quotes in MAPILLARY_TOKEN, around the token",
            "leave them away where no shell reads the line, as in an env file or a unit",
        )  # fmt: skip
    try:
        read_token(environment)
    except ArgumentRefused as error:
        return fault_of("token", error.outcome, str(error))
    return None


def clock(ahead: float) -> Finding:
    """Judge the clock, which is so many seconds ahead of the API's."""
    if abs(ahead) <= _CLOCK:
        return ok("clock", "as the API's" if abs(ahead) < 1 else f"{abs(ahead):.0f} s off")
    return warning(
        "clock",
        f"{duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the API's",
        "set it (timedatectl set-ntp true): URLs of images expire, and certificates hold, by it",
    )


def _no_date() -> Finding:
    return note("clock", "not compared, there is no answer with a date")


def _blanks(environment: Mapping[str, str]) -> str:
    given = environment.get("MAPILLARY_TOKEN", "")
    return "" if given == given.strip() else " (without the blanks or line ends around it)"


def _not_asked(environment: Mapping[str, str]) -> Finding:
    return note("token", f"there, but the API cannot be asked about it{_blanks(environment)}")


def _token(answer: Answer, environment: Mapping[str, str]) -> Finding:
    """Judge the token that was sent."""
    if answer.meaning is Meaning.TOKEN:
        found = f"the API refuses it: {answer.message}"
        if not _SHAPE.fullmatch(read_token(environment)):
            found += "; it has not the form of one: MLY, a number, 32 hexadecimal digits, | between"
        return fault("token", Outcome.TOKEN_REFUSED, found, _COPY)
    if answer.meaning in _TAKEN:
        return ok("token", f"accepted by the API{_blanks(environment)}")
    return _not_asked(environment)


def _silent(api_url: str, reply: NoReply) -> Finding:
    found, remedy = _SILENCE[reply.why]
    return fault("API", Outcome.SERVICE_AWAY, f"{api_url}: {found} ({reply.said})", remedy)


def _api(api_url: str, answer: Answer, reply: Reply) -> Finding:
    """Judge an answer; that it refuses the token, or misses it, is no fault of the API."""
    if answer.meaning in _TAKEN or answer.meaning is Meaning.TOKEN:
        return ok("API", f"{api_url} answers in {reply.seconds:.1f} s")
    found = f"{api_url}: {answer.message}"
    if answer.meaning is Meaning.BLOCKED:
        return fault(
            "API", Outcome.BLOCKED, found,
            "it blocks this address, or a network's log-in page answers for it: open it in a "
            "browser; else wait a day",
        )  # fmt: skip
    if answer.meaning is Meaning.PAUSE:
        remedy = "it has had too many questions: wait some minutes"
    else:
        remedy = "try again later; of some wrong tokens it says no more than this, too"
    return fault("API", Outcome.SERVICE_AWAY, found, remedy)
