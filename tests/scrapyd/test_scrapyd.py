"""The project on a real Scrapyd server: the same collections as the command line's."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from mapillary_crawler.collection.layout import PROGRESS_PATH
from mapillary_crawler.ledger.records import State
from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import assert_same, states
from tests.scrapyd.server import NAME, Job, Scrapyd, wait_for

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("scrapyd")]


def destination(job: Job) -> Path:
    """Return the collection's place, which the log's first line names."""
    return Path(job.lines[0].partition(" to ")[2])


def staging(job: Job) -> Path:
    """Return where a job's collection is worked on."""
    return destination(job).parent / ".incomplete" / destination(job).name


def saved(job: Job) -> set[str]:
    """Return the images that a job's ledger says are saved."""
    if "Listed" not in job.log:
        return set()
    return {image for image, state in states(staging(job)).items() if state is State.SAVED}


def assert_complete(job: Job, wanted: Path) -> None:
    """Assert that a job made the collection of the command line, and says so."""
    assert "INFO: " in job.log.splitlines()[-1], job.log
    assert "complete: listed " in job.last, job.log
    assert job.finish_reason == "finished"
    collection = destination(job)
    assert_same(collection, wanted)
    figures = json.loads((collection / PROGRESS_PATH).read_text())
    assert (figures["finish_reason"], figures["exit_code"]) == ("finished", 0)
    assert f"listed {figures['listed']} = saved {figures['saved']} " in job.last


def assert_stopped(job: Job) -> None:
    assert "WARNING: " in job.log.splitlines()[-1], job.log
    assert "interrupted: listed " in job.last, job.log
    assert job.last.endswith("; schedule it again")
    assert "Traceback" not in job.log
    if job.finish_reason:
        assert job.finish_reason == "shutdown"


def test_deployment_leaves_nothing_that_git_sees(server: Scrapyd, clone: Path) -> None:
    for seen in (["ls-files", "--others", "--exclude-standard"], ["diff", "--name-only"]):
        done = subprocess.run(["git", *seen], cwd=clone, check=True, capture_output=True)
        assert done.stdout == b""
    (egg,) = (server.folder / "eggs" / NAME).iterdir()
    deployed = {name for name in zipfile.ZipFile(egg).namelist() if name.endswith(".py")}
    package = (clone / NAME).rglob("*.py")
    assert {str(path.relative_to(clone)) for path in package} == deployed
    listed = server.call("listspiders.json", query={"project": NAME})
    assert listed["spiders"] == ["user"]


def test_two_users_at_once(
    server: Scrapyd, sandbox: Sandbox, from_command_line: dict[str, Path]
) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 500}})
    users = ("alice", "Ünî & cødé")
    jobs = [server.schedule(username=user, quality="256") for user in users]
    wait_for(lambda: all(job.state == "running" and "Listed" in job.log for job in jobs))
    figures = staging(jobs[0]) / PROGRESS_PATH
    wait_for(figures.exists)
    assert json.loads(figures.read_text())["finish_reason"] is None
    sandbox.reset()
    for job, user in zip(jobs, users, strict=True):
        assert_complete(job.wait(), from_command_line[user])
        assert job.lines[0].startswith(
            f"Archiving {user} to {server.environment['MAPILLARY_STORE']}"
        )
    (version,) = server.call("listversions.json", query={"project": NAME})["versions"]
    jobid = f"{users[0]}-256"  # as the operators' page has it
    again = server.schedule(username=users[0], quality="256", _version=version, jobid=jobid).wait()
    assert again.job == jobid
    assert "is archived since" in again.last
    assert "ERROR" not in again.log
    wrong = server.schedule(username=users[0], quality="3").wait()
    assert "ERROR: scrapy crawl: quality '3' is unknown" in wrong.log


@pytest.mark.parametrize(("how", "job_folder"), [("TERM", True), ("KILL", False)])
def test_cancelled_and_scheduled_again(
    server: Scrapyd,
    sandbox: Sandbox,
    from_command_line: dict[str, Path],
    tmp_path: Path,
    how: str,
    job_folder: bool,
) -> None:
    settings = [f"MAPILLARY_STORE={tmp_path / 'store'}"]
    settings += [f"JOBDIR={tmp_path / 'job'}"] if job_folder else []
    assert_resumes(server, sandbox, settings, from_command_line["alice"], signal=how)
    assert (tmp_path / "job").exists() is job_folder


def test_cancelled_and_scheduled_again_with_scrapyd_s_folders(
    server_with_folders: Scrapyd, sandbox: Sandbox, from_command_line: dict[str, Path]
) -> None:
    server = server_with_folders
    settings = ["MAPILLARY_STORE=relative", f"JOBDIR={server.folder / 'job'}"]
    assert_resumes(server, sandbox, settings, from_command_line["alice"])
    # Scrapyd's own job folder wins, one for each job.
    assert not (server.folder / "job").exists()
    assert len(list((server.folder / "jobs" / NAME / "user").iterdir())) >= 2
    # The feed of `items_dir` holds what was saved in a run, without bytes and signed URLs.
    feeds = (server.folder / "items" / NAME / "user").iterdir()
    rows = [json.loads(line) for feed in feeds for line in feed.read_text().splitlines()]
    assert len({row["image_id"] for row in rows}) > 100
    assert not {"url", "body"} & set(rows[0])
    assert (server.folder / "relative" / "mapillary-alice-256" / "SHA256SUMS").is_file()


def assert_resumes(
    server: Scrapyd, sandbox: Sandbox, settings: list[str], wanted: Path, **how: str
) -> None:
    """Cancel a job of alice while it fetches, schedule another, compare what it made."""
    sandbox.set_faults({"cdn": {"latency_ms": 200}})
    first = server.schedule(
        *settings, "MAPILLARY_CONCURRENCY_FIXED=4", username="alice", quality="256"
    )
    wait_for(lambda: len(saved(first)) >= 5)
    sandbox.set_faults({"cdn": {"stall_body": 1.0}})
    first.cancel(**how)
    if how.get("signal") != "KILL":
        assert_stopped(first)
    before = saved(first)
    assert len(before) < 100
    fetched = sandbox.counters(images=True)["images"]["requests"]
    sandbox.set_faults({"cdn": {"latency_ms": 0, "stall_body": 0.0}})
    second = server.schedule(*settings, username="alice", quality="256").wait()
    assert_complete(second, wanted)
    fetched_then = sandbox.counters(images=True)["images"]["requests"]
    assert {image for image in before if fetched_then[image] != fetched[image]} == set()


def test_cancelled_in_the_finish(
    server: Scrapyd, from_command_line: dict[str, Path], tmp_path: Path
) -> None:
    setting = f"MAPILLARY_STORE={tmp_path / 'store'}"
    first = server.schedule(setting, username="daily", quality="256", check_ia=0)
    wait_for(lambda: "sealing day 3 of" in first.log)
    first.cancel()
    assert_stopped(first)
    assert not destination(first).exists()
    second = server.schedule(setting, username="daily", quality="256", check_ia=0).wait()
    assert "Listed" not in second.log
    assert_complete(second, from_command_line["daily"])


def test_second_job_of_a_collection_ends_at_once(
    server: Scrapyd, sandbox: Sandbox, tmp_path: Path
) -> None:
    setting = f"MAPILLARY_STORE={tmp_path / 'store'}"
    sandbox.set_faults({"api": {"stall": 1.0}})
    first = server.schedule(setting, username="alice", quality="256", check_ia=0)
    wait_for(lambda: sandbox.counters()["requests"].get("api", 0) >= 1)
    second = server.schedule(setting, username="alice", quality="256", check_ia=0).wait()
    assert second.lines == [
        "scrapy crawl: another process works on mapillary-alice-256; wait for it, or stop it first"
    ]
    assert first.state == "running"
    first.cancel()
    assert_stopped(first)


def test_what_is_wrong_is_one_line_in_the_log(
    server: Scrapyd, server_with_folders: Scrapyd, tmp_path: Path
) -> None:
    said = {
        server.schedule(username="alice", quality="512"): "quality '512' is unknown",
        server.schedule(username="alice", colour="red"): "unknown argument 'colour'",
        server.schedule("LOG_LEVEL=LOUD", username="alice"): "LOG_LEVEL 'LOUD' is unknown",
        server.schedule("LOG_LEVEL=ERROR", "WEBP_METHOD=9", username="alice"): "WEBP_METHOD '9'",
        server_with_folders.schedule(
            f"MAPILLARY_STORE={tmp_path}", username="alice"
        ): f"MAPILLARY_STORE {tmp_path} is not below MAPILLARY_STORE_ROOT",
    }
    for job, line in said.items():
        assert job.wait().last.startswith(f"scrapy crawl: {line}"), job.log
        assert " ERROR: " in job.log
        assert len(job.lines) == 1


def test_the_token_cannot_be_sent_elsewhere(server: Scrapyd, sandbox: Sandbox) -> None:
    url = "MAPILLARY_API_URL=http://elsewhere.invalid"
    trusted = "MAPILLARY_TRUSTED_API_HOST=elsewhere.invalid"
    jobs = {
        server.schedule(url, username="alice"): "no setting that may be scheduled",
        server.schedule(
            "ON_END=env", username="alice"
        ): "'ON_END' is no setting that may be scheduled",
        server.schedule("TAR_MAX_BYTE=9", username="alice"): "TAR_MAX_BYTES is one",
        server.schedule(url, trusted, username="alice"): "no setting that may be scheduled",
        server.schedule(
            "TELNETCONSOLE_ENABLED=1", username="alice"
        ): "no setting that may be scheduled",
    }
    for job, why in jobs.items():
        assert why in job.wait().last
        assert len(job.lines) == 1
    assert sandbox.counters()["requests"] == {}


def test_the_token_is_nowhere(server: Scrapyd, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.set_faults({"cdn": {"latency_ms": 500}, "api": {"server_error": 1.0}})
    settings = [f"MAPILLARY_STORE={tmp_path / 'store'}", f"JOBDIR={tmp_path / 'job'}"]
    job = server.schedule(*settings, "LOG_LEVEL=DEBUG", username="alice", quality="256")
    wait_for(lambda: "asking again" in job.log)
    sandbox.set_faults({"api": {"server_error": 0.0}})
    wait_for(lambda: sandbox.counters()["requests"].get("cdn", 0) >= 3)
    pages = ["", "jobs", "logs/", f"logs/{NAME}/user/", f"logs/{NAME}/user/{job.job}.log"]
    pages += ["listjobs.json", "daemonstatus.json", f"listversions.json?project={NAME}"]
    texts = {page: server.page(page).encode() for page in pages}
    sandbox.reset()
    job.wait()
    texts |= {f"{page} after the end": server.page(page).encode() for page in pages}
    files = [path for folder in (server.folder, tmp_path) for path in folder.rglob("*")]
    texts |= {str(path): path.read_bytes() for path in files if path.is_file()}
    (egg,) = (server.folder / "eggs" / NAME).iterdir()
    with zipfile.ZipFile(egg) as opened:
        texts |= {name: opened.read(name) for name in opened.namelist()}
    # What the server printed has each job's arguments.
    assert job.job.encode() in texts[str(server.folder / "output")]
    secret = sandbox.token.rpartition("|")[2].encode()
    assert [place for place, text in texts.items() if secret in text] == []
