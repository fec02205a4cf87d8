"""The apt archives, the release and the Python that a lab node is made from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.setup.apt_sources import Archive, own_archives, parse_deb822, parse_one_line
from tools.setup.base_image import KEPT_APT_OPTIONS
from tools.setup.errors import SetupError
from tools.setup.release import Release, distribution_python, parse_release

DEBIAN_DEB822 = """\
Types: deb
# http://snapshot.example.org/archive/debian/20250520T000000Z
URIs: http://deb.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://security.example.org/debian-security
Suites: bookworm-security
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_deb822_names_every_suite_of_every_block() -> None:
    archives = own_archives([], [DEBIAN_DEB822], "bookworm")
    assert [str(archive) for archive in archives] == [
        f"deb [signed-by={KEY}] http://deb.example.org/debian bookworm main",
        f"deb [signed-by={KEY}] http://deb.example.org/debian bookworm-updates main",
        f"deb [signed-by={KEY}] http://security.example.org/debian-security bookworm-security main non-free-firmware",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "deb http://a.example/ubuntu jammy main universe",
            "deb http://a.example/ubuntu jammy main universe",
        ),
        (
            "deb [arch=amd64] http://a.example/ubuntu jammy main # mirror",
            "deb http://a.example/ubuntu jammy main",
        ),
        (
            "  deb [arch=amd64 signed-by=/k/ubuntu-archive-keyring.gpg] http://a.example/u jammy-security main",
            "deb [signed-by=/k/ubuntu-archive-keyring.gpg] http://a.example/u jammy-security main",
        ),
    ],
)
def test_one_line_sources_keep_what_mmdebstrap_needs(line: str, expected: str) -> None:
    assert [str(archive) for archive in own_archives([line], [], "jammy")] == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "# deb http://a.example/ubuntu jammy main",
        "deb-src http://a.example/ubuntu jammy main",
        "deb http://other.example/repo jammy stable",
        "deb http://other.example/repo jammy-pgdg main",
        "deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.example/ubuntu jammy main",
        "deb http://a.example/ubuntu noble main",
        "deb http://flat.example/repo ./",
        "",
    ],
)
def test_archives_of_others_are_left_out(line: str) -> None:
    assert own_archives([line], [], "jammy") == []


def test_a_disabled_block_and_a_comment_in_a_block_are_left_out() -> None:
    disabled = "Enabled: no\nTypes: deb\nURIs: http://a.example\nSuites: jammy\nComponents: main\n"
    continued = "Types: deb\nURIs: http://a.example\n http://b.example\nSuites: jammy\nComponents: main\n"
    assert list(parse_deb822(disabled)) == []
    assert [archive.uri for archive in parse_deb822(continued)] == ["http://a.example", "http://b.example"]


def test_an_archive_that_two_files_name_is_used_once() -> None:
    line = "deb http://a.example/debian bookworm main"
    assert len(own_archives([line, line], [], "bookworm")) == 1


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-/", min_size=1, max_size=12).filter(
    lambda w: w[0].isalpha()
)


@given(WORD, WORD, st.lists(WORD, min_size=1, max_size=4))
def test_a_printed_archive_reads_back_as_itself(uri: str, suite: str, components: list[str]) -> None:
    archive = Archive(uri, suite, tuple(components), "/etc/key.gpg")
    assert list(parse_one_line(str(archive))) == [archive]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('Acquire::Check-Valid-Until "false";', True),
        ('Acquire::http::Proxy "http://proxy.example:3142";', True),
        ('Acquire::https::CaInfo "/etc/ssl/site.pem";', True),
        ('Acquire::Languages "none";', False),
        ('Acquire::http::User-Agent-Non-Interactive "true";', False),
    ],
)
def test_a_node_reaches_its_archives_the_way_this_computer_does(line: str, kept: bool) -> None:
    assert bool(KEPT_APT_OPTIONS.match(line)) is kept


DEBIAN = (
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
)
UBUNTU = 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\n'


def test_releases_that_the_set_up_knows() -> None:
    assert parse_release(DEBIAN) == Release("debian", "bookworm", "12")
    assert parse_release(UBUNTU) == Release("ubuntu", "jammy", "22.04")


@pytest.mark.parametrize(
    "text",
    [
        DEBIAN.replace("12", "11"),
        UBUNTU.replace("22.04", "20.04"),
        'ID=fedora\nVERSION_ID=42\nVERSION_CODENAME=""\nPRETTY_NAME="Fedora Linux 42"\n',
        'ID=debian\nPRETTY_NAME="Debian GNU/Linux forky/sid"\n',
        "",
    ],
)
def test_any_other_release_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(SetupError, match=r"knows Debian 12, Ubuntu 22\.04 and what is newer") as refused:
        parse_release(text)
    assert refused.value.advice


@pytest.mark.parametrize(
    ("installed", "default", "codename", "expected"),
    [
        (["python3.11"], "python3.11", "bookworm", "python3.11"),
        (["python3.12", "python3.13"], "python3.12", "noble", "python3.12"),
        (["python3.10"], "python3.10", "jammy", "python3.11"),
        (["python3.10", "python3.12"], "python3.10", "jammy", "python3.12"),
        ([], "", "trixie", "python3.13"),
    ],
)
def test_the_engine_runs_on_the_distributions_own_python(
    tmp_path: Path, installed: list[str], default: str, codename: str, expected: str
) -> None:
    for name in installed:
        (tmp_path / name).touch()
    if default:
        (tmp_path / "python3").symlink_to(default)
    assert distribution_python(Release("any", codename, "1"), tmp_path) == tmp_path / expected
