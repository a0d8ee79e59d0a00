"""Token, API and clock: what each answer, and each that does not come, means."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.crawl.doctor import service
from mapillary_crawler.crawl.doctor.asking import NoReply, Reply, Silence
from mapillary_crawler.crawl.doctor.finding import Finding, State, exit_code

SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = f"MLY|1234567890123456|{SECRET}"
URL = "https://graph.mapillary.com"


class Api:
    """Answers what it is given, and keeps what it was asked."""

    def __init__(self, reply: Reply | NoReply) -> None:
        self.reply = reply
        self.urls: list[str] = []
        self.headers: list[Mapping[str, str]] = []

    def __call__(self, url: str, headers: Mapping[str, str], timeout: float) -> Reply | NoReply:
        self.urls.append(url)
        self.headers.append(headers)
        return self.reply


def found(
    monkeypatch: pytest.MonkeyPatch, reply: Reply | NoReply, token: str | None = TOKEN
) -> tuple[Api, dict[str, Finding], int]:
    api = Api(reply)
    monkeypatch.setattr(service, "ask", api)
    environment = {} if token is None else {"MAPILLARY_TOKEN": token}
    findings = service.service(URL, environment, "mapillary_crawler (a test)")
    assert [each.what for each in findings] == ["token", "API", "clock"]
    for each in findings:
        assert SECRET not in each.found + each.remedy
        assert each.state is not State.FAULT or each.remedy
    return api, {each.what: each for each in findings}, exit_code(findings)


def reply(body: object = None, status: int = 200, ahead: float | None = 0.0) -> Reply:
    return Reply(status, json.dumps({"data": []} if body is None else body).encode(), ahead, 0.1)


def error(status: int, message: str, code: int | None, **more: object) -> Reply:
    return reply({"error": {"message": message, "code": code, **more}}, status)


def test_all_is_well_by_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    api, findings, code = found(monkeypatch, reply())
    assert code == 0
    assert {each.state for each in findings.values()} == {State.OK}
    (url,), (headers,) = api.urls, api.headers
    assert url.startswith(f"{URL}/images?bbox=")
    assert "limit=1" in url
    assert headers["Authorization"] == f"OAuth {TOKEN}"
    assert headers["User-Agent"] == "mapillary_crawler (a test)"


@pytest.mark.parametrize(
    ("token", "said", "remedy"),
    [
        (None, "not set", "get a free token"),
        ("  \n", "not set", "get a free token"),
        (f'"{TOKEN}"', "quotes", "env file"),
        (f"'{TOKEN}'", "quotes", "env file"),
        (f"“{TOKEN}”", "quotes", "env file"),
        (f' "{TOKEN}"\n', "quotes", "env file"),
        (f'{TOKEN}"', "quotes", "env file"),
        ('"', "quotes", "env file"),
        (f"OAuth {TOKEN}", "characters that no token has", "copy it again"),
        (f"{TOKEN[:20]}\n{TOKEN[20:]}", "characters that no token has", "copy it again"),
        (f"{TOKEN}\x00x", "characters that no token has", "copy it again"),
    ],
)
def test_a_token_that_cannot_be_sent_is_not(
    token: str | None, said: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = error(500, "Invalid OAuth 2.0 Access Token", 190)
    api, findings, code = found(monkeypatch, refused, token)
    assert code == 2
    assert (findings["token"].state, findings["API"].state) == (State.FAULT, State.OK)
    assert said in findings["token"].found
    assert remedy in findings["token"].remedy
    assert "Authorization" not in api.headers[0]


@pytest.mark.parametrize("token", [f" {TOKEN}", f"{TOKEN}\r\n"])
def test_blanks_around_a_token_are_left_out_and_named(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, findings, code = found(monkeypatch, reply(), token)
    assert code == 0
    assert api.headers[0]["Authorization"] == f"OAuth {TOKEN}"
    assert "without the blanks" in findings["token"].found


@pytest.mark.parametrize(
    ("token", "of_form"),
    [(TOKEN, True), ("my-password", False), (TOKEN[:-1], False), (TOKEN + "0", False)],
)
@pytest.mark.parametrize(
    "refused",
    [
        error(500, "Invalid OAuth 2.0 Access Token", 190),
        error(401, "Failed to decode", 190),
        error(400, "Error verifying the token", None),
    ],
)
def test_a_token_that_is_refused(
    token: str, of_form: bool, refused: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, findings, code = found(monkeypatch, refused, token)
    assert code == 5
    assert findings["token"].outcome is Outcome.TOKEN_REFUSED
    assert ("has not the form" in findings["token"].found) == (not of_form)
    assert findings["API"].state is State.OK


@pytest.mark.parametrize(
    "taken",
    [
        reply(),
        error(400, "Object with ID '1' does not exist", 100, error_subcode=33),
        error(400, "Tried accessing nonexisting field (id) on node", 100),
    ],
)
def test_an_answer_about_the_question_accepts_the_token(
    taken: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(monkeypatch, taken, "of another form")[2] == 2  # spaces: it is not sent
    assert found(monkeypatch, taken, "of-another-form")[2] == 0


@pytest.mark.parametrize(
    ("answer", "outcome", "remedy"),
    [
        (Reply(302, b"", 0.0, 0.1), Outcome.BLOCKED, "log-in page"),
        (Reply(200, b"<!DOCTYPE html><p>Log in", 0.0, 0.1), Outcome.BLOCKED, "log-in page"),
        (Reply(502, b"<html>Bad Gateway", 0.0, 0.1), Outcome.SERVICE_AWAY, "try again later"),
        (Reply(200, b"{", 0.0, 0.1), Outcome.SERVICE_AWAY, "try again later"),
        (Reply(429, b"", 0.0, 0.1), Outcome.SERVICE_AWAY, "wait some minutes"),
        (error(403, "request limit reached", 4), Outcome.SERVICE_AWAY, "wait some minutes"),
        (error(500, "Service unavailable", 2), Outcome.SERVICE_AWAY, "wrong tokens"),
    ],
)
def test_an_api_that_does_not_answer_the_question(
    answer: Reply, outcome: Outcome, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, findings, code = found(monkeypatch, answer)
    assert code == 7
    assert findings["API"].outcome is outcome
    assert remedy in findings["API"].remedy
    assert findings["token"].state is State.NOTE


@pytest.mark.parametrize("why", Silence)
def test_no_answer_has_a_remedy_of_its_own(why: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    _, findings, code = found(monkeypatch, NoReply(why, "so the system says"))
    assert code == 7
    assert URL in findings["API"].found
    assert "(so the system says)" in findings["API"].found
    assert (findings["token"].state, findings["clock"].state) == (State.NOTE, State.NOTE)


def test_what_is_wrong_with_the_token_counts_before_an_api_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert found(monkeypatch, NoReply(Silence.TIMEOUT, ""), f'"{TOKEN}"')[2] == 2


@pytest.mark.parametrize(
    ("ahead", "state", "said"),
    [
        (0.0, State.OK, "as the API's"),
        (-0.9, State.OK, "as the API's"),
        (59.0, State.OK, "59 s off"),
        (3600.0, State.WARNING, "1:00:00 ahead of the API's"),
        (-86_400.0 * 3, State.WARNING, "3 d 00:00 behind the API's"),
        (None, State.NOTE, "not compared"),
    ],
)
def test_clock(
    ahead: float | None, state: State, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, findings, code = found(monkeypatch, reply(ahead=ahead))
    assert code == 0
    assert findings["clock"].state is state
    assert said in findings["clock"].found


def test_an_answer_that_echoes_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, error(400, f"what is {TOKEN} to us", 7))
    found(monkeypatch, Reply(302, SECRET.encode(), 0.0, 0.1))
