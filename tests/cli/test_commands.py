"""What every command has in common: help with an example, one line for an error, the version, completion."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from defi_risk import __version__
from defi_risk.cli import COMMANDS, main
from tests.cli.runner import run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    ended = run(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert "Example:" in ended.out
    assert f"defi-risk {command}" in ended.out
    assert "--verbose" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(command: str) -> None:
    found = main.get_command(click.Context(main), command)
    assert found is not None
    assert found.name == command
    assert (found.help or "").splitlines()[0] == COMMANDS[command]


def test_the_group_lists_its_commands_and_where_to_start() -> None:
    for ended in (run("--help"), run("-h"), run()):
        assert (ended.code, ended.err) == (0, "")
        assert all(f"  {name} " in ended.out for name in COMMANDS)
        assert "defi-risk demo" in ended.out


def test_version() -> None:
    assert run("--version") == (0, f"defi-risk {__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["skan"], "error: unknown command 'skan' - did you mean 'scan'?"),
        (["zzzzzz"], "error: unknown command 'zzzzzz' - known: completion, demo, doctor, explain, markets, plan, scan, stress, whatif"),
        (["--verbose", "scan"], "error: no such option '--verbose'"),
        (["scan", "--blok", "1"], "--block"),
        (["scan", "--block"], "error: option '--block' requires an argument"),
        (["demo", "extra"], "error: got unexpected extra argument (extra) - see `defi-risk demo --help`"),
        (["completion"], "error: missing argument"),
        (["completion", "csh"], "'csh' is not one of 'bash', 'zsh', 'fish'"),
        (["markets", "--chain", "etherum"], "error: unknown chain 'etherum' - did you mean 'ethereum'?"),
        (["markets", "--format", "xml"], "'xml' is not one of 'table', 'json'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(args: list[str], says: str) -> None:
    ended = run(*args)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert says in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    ended = run("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert "_DEFI_RISK_COMPLETE" in ended.out


@pytest.mark.parametrize(
    ("words", "index", "offers"),
    [
        ("defi-risk ", "1", {"scan", "demo", "markets", "doctor", "completion"}),
        ("defi-risk sc", "1", {"scan"}),
        ("defi-risk scan --form", "2", {"--format"}),
        ("defi-risk scan --format ", "3", {"table", "json", "csv", "parquet"}),
        ("defi-risk scan --rpc ether", "3", {"ethereum="}),
    ],
)
def test_completion_offers_commands_options_and_values(words: str, index: str, offers: set[str]) -> None:
    ended = run(env={"_DEFI_RISK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": index})
    found = {line.partition(",")[2] for line in ended.out.splitlines()}
    assert offers <= found


def test_a_bug_is_one_line_and_its_traceback_needs_verbose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import defi_risk.gathering

    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError("at https://user:CANARY@node.example/CANARY-PATH \x1b[2J")

    monkeypatch.setattr(defi_risk.gathering, "gather", broken)
    short, long = run("scan", "0x" + "1" * 40), run("scan", "0x" + "1" * 40, "--verbose")
    assert (short.code, short.out) == (1, "")
    assert short.err.count("\n") == 1
    assert "error: unexpected ZeroDivisionError: at https://node.example [2J - this is a bug" in short.err
    assert "Traceback" in long.err
    assert "in broken" in long.err
    assert "CANARY" not in short.err + long.err
    assert "\x1b" not in short.err + long.err


def test_an_interrupt_is_130_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    import defi_risk.gathering

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(defi_risk.gathering, "gather", interrupted)
    ended = run("scan", "0x" + "1" * 40)
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")
