"""What a client of a Scrapyd server may set: nothing that leads to the server's token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.settings import BaseSettings, Settings, default_settings

from mapillary_crawler import settings as project
from mapillary_crawler.crawl.scheduled import SCHEDULABLE, Folders, read_folders, withhold

JOB = "0a1b2c"
#: What names a program, a module, or whom to trust; a setting that is new is here, or schedulable.
OF_THE_SERVER = {
    "ARCHIVE_ORG_S3_URL", "ARCHIVE_ORG_URL", "MAPILLARY_API_URL", "NEW_STORE", "ON_END",
    "QUEUE_LEASE",
}  # fmt: skip
FOLDERS = Folders("/var/logs", "/var/items", "/var/jobs")


@pytest.fixture(scope="module")
def settings() -> Settings:
    made = Settings()
    made.setmodule(project)
    return made


def withheld(
    settings: BaseSettings,
    *given: str,
    environment: Mapping[str, str] | None = None,
    job: str = JOB,
    folders: Folders = FOLDERS,
) -> list[str]:
    """Return what a job may not have, and see that the rest is kept."""
    arguments = ["username=alice", f"_job={job}"]
    environment = {"SCRAPY_PROJECT": "mapillary_crawler", **(environment or {})}
    kept, names = withhold(given, arguments, settings, environment, folders)
    assert [*kept, *names] == [
        *(setting for setting in given if setting.partition("=")[0] not in names),
        *(setting.partition("=")[0] for setting in given if setting.partition("=")[0] in names),
    ]
    return names


def test_each_of_the_project_s_own_settings_is_decided_on(settings: Settings) -> None:
    names = [name for name in dir(project) if name.isupper() and not name.startswith("_")]
    own = [name for name in names if not hasattr(default_settings, name)]
    assert set(own) == SCHEDULABLE | OF_THE_SERVER
    assert not SCHEDULABLE & OF_THE_SERVER
    for name in own:
        assert withheld(settings, f"{name}=x") == ([name] if name in OF_THE_SERVER else []), name


@pytest.mark.parametrize(
    "setting",
    [
        "LOG_LEVEL=DEBUG", "JOBDIR=/srv/job", "DOWNLOAD_TIMEOUT=60", "CLOSESPIDER_TIMEOUT=3600",
        "CLOSESPIDER_ITEMCOUNT=5", "CONCURRENT_ITEMS=64", "AUTOTHROTTLE_MAX_DELAY=1.5",
        f"LOG_FILE=/var/logs/mapillary_crawler/user/{JOB}.log",
        f'FEEDS={{"file:///var/items/mapillary_crawler/user/{JOB}.jl": {{"format": "jsonlines"}}}}',
    ],
)  # fmt: skip
def test_what_is_harmless_or_scrapyd_s_may_be_scheduled(settings: Settings, setting: str) -> None:
    assert withheld(settings, setting) == []


@pytest.mark.parametrize(
    "setting",
    [
        "MAPILLARY_TOKEN=MLY|1", "MAPILLARY_TRUSTED_API_HOST=example.org",
        "MAPILLARY_STORE_ROOT=/", "mapillary_store=/", "", "=", "UNKNOWN=1", "__class__=1",
        "TELNETCONSOLE_ENABLED=1", "TELNETCONSOLE_HOST=0.0.0.0", "TELNETCONSOLE_PASSWORD=x",
        "REMOTE_CONTROL_ENABLED=1", "REMOTE_CONTROL_JOBS_DIR=/tmp",
        "HTTPCACHE_ENABLED=1", "HTTPCACHE_DIR=/tmp", "DOWNLOAD_VERIFY_CERTIFICATES=0",
        "DOWNLOADER_CLIENT_TLS_CIPHERS=NULL", "DNS_RESOLVER=x.Y", "DOWNLOADER=x.Y",
        "DOWNLOADER_MIDDLEWARES={}", "DOWNLOADER_MIDDLEWARES_BASE={}", "SPIDER_MIDDLEWARES={}",
        'DOWNLOAD_HANDLERS={"https": "x.Y"}', "EXTENSIONS={}", "ITEM_PIPELINES={}", "ADDONS={}",
        "LOG_FORMATTER=x.Y", "LOG_FORMAT=%s", "LOG_ENABLED=0", "LOG_STDOUT=1", "STATS_CLASS=x.Y",
        "SPIDER_MODULES=x", "SPIDER_LOADER_CLASS=x.Y", "COMMANDS_MODULE=x", "TWISTED_REACTOR=x.Y",
        "SCHEDULER=x.Y", "DUPEFILTER_CLASS=x.Y", "REQUEST_FINGERPRINTER_CLASS=x.Y",
        "DOWNLOAD_SLOTS={}", "FEED_STORAGES={}", "FEED_EXPORTERS={}", "FEED_URI_PARAMS=x.y",
        "FEED_TEMPDIR=/tmp", "FILES_STORE=/tmp", "AWS_ENDPOINT_URL=http://example.org",
        f"LOG_FILE=/any/folder/user/{JOB}.log",
        f"LOG_FILE=/var/logs/other/user/{JOB}.log",
        f"LOG_FILE=/var/logs/mapillary_crawler/user/../user/{JOB}.log",
        "LOG_FILE=/var/logs/mapillary_crawler/user/another.log",
        f'FEEDS={{"ftp://anywhere/user/{JOB}.jl": {{"format": "jsonlines"}}}}',
        f'FEEDS={{"s3://bucket/mapillary_crawler/user/{JOB}.jl": {{"format": "jsonlines"}}}}',
        f'FEEDS={{"/any/folder/user/{JOB}.jl": {{"format": "jsonlines"}}}}',
        f'FEEDS={{"file:///any/folder/user/{JOB}.jl": {{"format": "jsonlines"}}}}',
        f'FEEDS={{"file:///var/items/mapillary_crawler/user/{JOB}.jl": {{"format": "csv"}}}}',
        "LOG_FILE=/etc/motd", f"LOG_FILE=/tmp/user/{JOB}", "LOG_FILE=", "FEEDS=", "FEEDS=null",
        f'FEEDS="/user/{JOB}.jl"', f'FEEDS=["/user/{JOB}.jl"]',
        'FEEDS={"/tmp/spider.state": {"format": "jsonlines"}}',
        f'FEEDS={{"/user/{JOB}.jl": {{"format": "pickle"}}}}',
        f'FEEDS={{"/user/{JOB}.jl": {{"format": "jsonlines", "overwrite": true}}}}',
        f'FEEDS={{"/user/{JOB}.jl": {{"format": "jsonlines"}}, "/x": {{"format": "jsonlines"}}}}',
        f"FEEDS={'[' * 100_000}", "DOWNLOAD_TIMEOUT=soon", "DOWNLOAD_DELAY=", "DEPTH_LIMIT=1.5",
    ],
)  # fmt: skip
def test_no_way_to_the_token_may_be_scheduled(settings: Settings, setting: str) -> None:
    if "=" not in setting:
        setting += "="
    assert withheld(settings, setting) == [setting.partition("=")[0]]


def test_no_setting_that_names_code_or_switches_something_may_be_scheduled(
    settings: Settings,
) -> None:
    allowed = {"LOG_FILE", "LOG_LEVEL", "JOBDIR", "FEEDS"}
    for name in dir(default_settings):
        if name.isupper() and name not in allowed:
            default = settings[name]
            number = isinstance(default, (int, float)) and not isinstance(default, bool)
            assert withheld(settings, f"{name}=1") == ([] if number else [name]), name


def test_a_root_for_stores_holds_the_job_folder_too(settings: Settings, tmp_path: Path) -> None:
    root = {"MAPILLARY_STORE_ROOT": str(tmp_path / "root")}
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    for inside in (tmp_path / "root" / "job", f"/var/jobs/mapillary_crawler/user/{JOB}"):
        assert withheld(settings, f"JOBDIR={inside}", environment=root) == []
    for outside in ("job", f"user/{JOB}", "root/../job", "root/link/job", "root2"):
        assert withheld(settings, f"JOBDIR={tmp_path / outside}", environment=root) == ["JOBDIR"]


@pytest.mark.parametrize(
    ("items", "feed"),
    [
        ("/var/ite ms", "file:///var/ite%20ms/mapillary_crawler/user/0a1b2c.jl"),
        ("file:///items", "file:///items/mapillary_crawler/user/0a1b2c.jl"),
        ("s3://bucket/items", "s3://bucket/items/mapillary_crawler/user/0a1b2c.jl"),
    ],
)
def test_items_go_where_the_server_has_them(settings: Settings, items: str, feed: str) -> None:
    given = f'FEEDS={{"{feed}": {{"format": "jsonlines"}}}}'
    assert withheld(settings, given, folders=Folders(items=items)) == []
    assert withheld(settings, given, folders=Folders(logs=items)) == ["FEEDS"]


@pytest.mark.parametrize("job", ["../../../../etc/x", "/etc/x", "a/b"])
def test_a_job_s_name_leads_nowhere(settings: Settings, job: str) -> None:
    for folder in ("/var/logs/mapillary_crawler/user/", "/etc/", ""):
        assert withheld(settings, f"LOG_FILE={folder}{job}.log", job=job) == ["LOG_FILE"]


def test_the_folders_are_those_that_scrapyd_itself_uses(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = pytest.importorskip("scrapyd.environ")
    config = pytest.importorskip("scrapyd.config")
    monkeypatch.chdir(tmp_path)
    Path("scrapyd.conf").write_text(
        "[scrapyd]\nlogs_dir = ../l\nitems_dir = i t\njobs_dir = jobs/\n"
    )
    message = {"_project": "mapillary_crawler", "_spider": "user", "_job": JOB}
    own = environ.Environment(config.Config()).get_settings(message)
    assert sorted(own) == ["FEEDS", "JOBDIR", "LOG_FILE"]
    given = [f"{name}={value}" for name, value in own.items()]
    root = {"MAPILLARY_STORE_ROOT": "/nowhere"}
    assert withheld(settings, *given, environment=root, folders=read_folders()) == []
    assert withheld(settings, *given, environment=root, folders=Folders()) == list(own)


def test_the_job_of_another_spider_is_held_to_the_same_list(settings: Settings) -> None:
    log = f"LOG_FILE=/var/logs/mapillary_crawler/other/{JOB}.log"
    given = [log, "ON_END=env", "TAR_MAX_BYTES=1", 'ITEM_PIPELINES={"a.B": 1}']
    project_name = {"SCRAPY_PROJECT": "mapillary_crawler"}
    arguments = [f"_job={JOB}"]
    kept, names = withhold(given, arguments, settings, project_name, FOLDERS, spider="other")
    assert (kept, names) == ([log, "TAR_MAX_BYTES=1"], ["ON_END", "ITEM_PIPELINES"])


@given(st.lists(st.text()))
def test_a_crawl_that_scrapyd_did_not_start_may_have_all(given: list[str]) -> None:
    assert withhold(given, ["username=_job=1"], BaseSettings(), {}) == (given, [])


@given(st.text(), st.text())
def test_no_text_is_too_odd(settings: Settings, name: str, value: str) -> None:
    names = withheld(settings, f"{name}={value}")
    assert names in ([], [name.partition("=")[0]])


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_feeds_other_than_scrapyd_s_are_withheld(feeds: object) -> None:
    assert withheld(BaseSettings(), f"FEEDS={json.dumps(feeds)}") == ["FEEDS"]
