"""What `scan` looks ahead with: the joint boundary, chances, price histories, and what changed since a snapshot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.books import PRICED
from tests.cli.desks import SIGMAS, Snapshot, aave, codes, flag, hedge, held, loan, owed, perp, position, taken, written
from tests.cli.runner import Ended, run
from tests.fault.exchange import Exchange, running

DAY = 86_400
PRICES = '[model]\nprices = "prices.csv"\n'
FEW = ("--chance", "--paths", "500")
DOWN = """
[chains.ethereum]
rpc = ["http://127.0.0.1:9"]
"""
WALLET = "0x" + "11" * 20


def scanned(folder: Path, book: str, *options: str) -> Ended:
    return run("scan", "--book", str(written(folder, book)), *options)


def snapshot_of(ended: Ended, code: int = 0) -> Snapshot:
    assert ended.code == code, ended.err
    found: Snapshot = json.loads(ended.out)
    return found


def refused(ended: Ended) -> str:
    """The one line in which a command refuses."""
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    return line


def prices(folder: Path, days: int = 60, *, end: int | None = None, names: tuple[str, ...] = ("ETH",)) -> None:
    """Daily prices up to a day ago that go up by 4 % and down by 4 % in turns."""
    last = int(datetime.now(UTC).timestamp()) - DAY // 2 if end is None else end
    rows = [",".join([str(last - DAY * (days - 1 - day)), *["3120" if day % 2 else "3000"] * len(names)]) for day in range(days)]
    (folder / "prices.csv").write_text("\n".join([",".join(("time", *names)), *rows]) + "\n")


class TestBoundary:
    def test_over_the_factors_asked_for_in_that_order(self, tmp_path: Path) -> None:
        found = snapshot_of(scanned(tmp_path, hedge(), "--boundary", "USDC, ETH", "--format", "json"))["boundary"]
        assert set(found) == {"factors", "polygon", "edges"}
        assert found["factors"] == ["USDC", "ETH"]
        assert len(found["polygon"]) == len(found["edges"])
        assert set(found["edges"]) == {"manual:aave", "manual:perp", None}
        for dollar, ether in found["polygon"]:
            assert ether * 24_900 - dollar * 12_000 > -1e-6  # the loan lives up to its edge

    def test_of_a_book_that_is_liquidatable_is_empty(self, tmp_path: Path) -> None:
        found = snapshot_of(scanned(tmp_path, aave(26_000), "--boundary", "ETH,USDC", "--format", "json"))["boundary"]
        assert (found["polygon"], found["edges"]) == ([], [])

    @pytest.mark.parametrize(
        ("pair", "says"),
        [
            ("ETH,DOGE", "unknown factor 'DOGE' - known: BTC, ETH"),
            ("ETH,BCT", "unknown factor 'BCT' - did you mean 'BTC'?"),
            ("ETH,USD", "unknown factor 'USD'"),
            ("stETH/ETH,BTC", "'stETH/ETH' is a peg; a boundary is drawn over two factors - one of BTC, ETH, USDC"),
            ("BTC,stETH/ETH", "'stETH/ETH' is a peg"),
            ("ETH,ETH", "does not name two different factors - --boundary ETH,BTC"),
            ("ETH", "does not name two different factors"),
            ("ETH,BTC,USDC", "does not name two different factors"),
            ("", "does not name two different factors"),
            ("ETH,", "does not name two different factors"),
        ],
    )
    def test_that_cannot_be_drawn(self, tmp_path: Path, pair: str, says: str) -> None:
        book = loan("aave", held("ETH", 10, 3000, peg="stETH/ETH"), held("BTC", 1, 60_000), owed("USDC", 12_000))
        assert says in refused(scanned(tmp_path, book, "--boundary", pair))

    def test_over_what_could_not_be_read_does_not_lose_the_scan(self, tmp_path: Path) -> None:
        book = hedge() + DOWN
        ended = run("scan", WALLET, "--book", str(written(tmp_path, book)), "--boundary", "ETH,BTC", "--format", "json")
        found = snapshot_of(ended, 3)
        assert found["boundary"] is None
        assert found["notes"] == ["the boundary is left out, as not everything could be read: unknown factor 'BTC'"]
        assert f"note: {found['notes'][0]}\n" in ended.err


class TestChance:
    def test_says_what_was_simulated(self, tmp_path: Path) -> None:
        found = snapshot_of(scanned(tmp_path, hedge() + SIGMAS, *FEW, "--seed", "7", "--format", "json"))["chance"]
        assert {"method", "paths", "seed", "horizon_days", "accounts", "standard_errors"} <= set(found)
        assert (found["method"], found["paths"], found["seed"], found["horizon_days"]) == ("ewma", 500, 7, 1)
        assert set(found["accounts"]) == {"manual:aave", "manual:perp"}
        figures = {"probability", "probability_several", "value_at_risk_usd", "expected_shortfall_usd"}
        assert set(found["standard_errors"]) == figures <= set(found)
        assert [one["horizon_days"] for one in found["horizons"]] == [7]
        assert "chance" not in snapshot_of(scanned(tmp_path, hedge() + SIGMAS, "--format", "json"))

    def test_is_the_same_for_the_same_seed(self, tmp_path: Path) -> None:
        near = aave(24_000) + SIGMAS
        first, same, other = (snapshot_of(scanned(tmp_path, near, *FEW, "--seed", seed, "--format", "json")) for seed in ("3", "3", "4"))
        assert {**first, "taken_at": ""} == {**same, "taken_at": ""}
        assert first["chance"]["value_at_risk_usd"] != other["chance"]["value_at_risk_usd"]

    def test_is_the_same_whatever_the_order_of_accounts(self, tmp_path: Path) -> None:
        one, other = aave(24_000), perp("perp", held("USDC", 3_000), position("ETH", 3, 3000))
        asked = (*FEW, "--format", "json")
        there, back = (snapshot_of(scanned(tmp_path, book + SIGMAS, *asked))["chance"] for book in (one + other, other + one))
        assert there == back

    def test_is_likely_next_to_the_line_and_certain_beyond(self, tmp_path: Path) -> None:
        near, dead = (
            snapshot_of(scanned(tmp_path, aave(debt) + SIGMAS, *FEW, "--format", "json"))["chance"] for debt in ("24899.99", "26000")
        )
        assert near["probability"] > 0.98
        assert dead["probability"] == dead["accounts"]["manual:aave"] == 1
        assert dead["standard_errors"]["probability"] > 0

    def test_a_penalty_is_a_loss(self, tmp_path: Path) -> None:
        model = "[model]\nvolatility = { ETH = 0 }\n"
        found = snapshot_of(scanned(tmp_path, aave(26_000, bonus="0.05", close_factor="0.5") + model, *FEW, "--format", "json"))
        assert found["chance"]["value_at_risk_usd"] == pytest.approx(13_000 * 0.05)
        assert found["chance"]["expected_shortfall_usd"] == pytest.approx(13_000 * 0.05)

    def test_in_the_table(self, tmp_path: Path) -> None:
        ended = scanned(tmp_path, hedge() + SIGMAS, *FEW)
        assert ended.code == 0
        assert "within 7 d of a liquidation" in " ".join(ended.out.split())
        assert "paths, ewma, seed 1" in " ".join(ended.out.split())

    def test_negative_equity(self, tmp_path: Path) -> None:
        sunk = loan("sunk", held("ETH", 1, 3000, weight="0.8"), owed("USDC", 5_000))
        found = snapshot_of(scanned(tmp_path, sunk + SIGMAS, *FEW, "--format", "json"))
        assert found["book_health"]["net_equity_usd"] == pytest.approx(-2_000)
        assert found["book_health"]["true_leverage"] is None
        assert found["accounts"][0]["sigma"] == 0
        assert found["chance"]["probability"] == 1
        assert "NaN" not in json.dumps(found)

    def test_a_book_in_which_nothing_moves(self, tmp_path: Path) -> None:
        found = snapshot_of(scanned(tmp_path, loan("cash", held("USDC", 100)), *FEW, "--format", "json"))["chance"]
        assert (found["probability"], found["value_at_risk_usd"], found["expected_shortfall_usd"]) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("model", "options", "says"),
        [
            ("", (), "no volatility of ETH - give it under [model] volatility, or a price history under [model] prices"),
            (SIGMAS, ("--method", "bootstrap"), "a bootstrap needs a price history - name one under [model] prices"),
            (SIGMAS, ("--method", "magic"), "'magic' is not one of 'ewma', 'bootstrap'"),
            (SIGMAS, ("--paths", "99"), "99 is not in the range 100<=x<=1000000"),
            (SIGMAS, ("--paths", "many"), "'many' is not a valid integer"),
            (SIGMAS, ("--seed", "-1"), "-1 is not in the range"),
            (SIGMAS + "horizon_days = 400\n", (), "a horizon of 400 days - chances look ahead by more than 0 and at most 365 days"),
            (SIGMAS.replace("0.04", "-0.04"), (), "-0.04 is out of range"),
        ],
    )
    def test_that_cannot_be_simulated(self, tmp_path: Path, model: str, options: tuple[str, ...], says: str) -> None:
        assert says in refused(scanned(tmp_path, hedge() + model, "--chance", *options))

    def test_of_accounts_that_could_not_be_read_does_not_lose_the_scan(self, tmp_path: Path) -> None:
        book = tmp_path / "lost.toml"
        book.write_text(f'[book]\nname = "lost"\nwallets = ["{WALLET}"]\n{DOWN}')
        ended = run("scan", "--book", str(book), "--chance", "--format", "json")
        found = snapshot_of(ended, 3)
        assert "chance" not in found
        assert found["notes"] == ["chances are left out, as not everything could be read: the book has no known account to simulate"]

    @pytest.mark.parametrize("method", ["ewma", "bootstrap"])
    def test_without_the_prices_of_an_exchange_that_fails_does_not_lose_the_scan(self, tmp_path: Path, method: str) -> None:
        with running(Exchange()) as exchange:
            url = exchange.url
        model = PRICED.replace("URL", url)
        ended = scanned(tmp_path, hedge() + model, "--chance", "--method", method, "--format", "json")
        found = snapshot_of(ended, 3)
        assert "chance" not in found
        [note] = found["notes"]
        assert note.startswith("chances are left out, as not everything could be read: ")
        assert "error: prices:binanceus: " in ended.err


def test_a_replay_without_the_prices_of_an_exchange_that_fails_does_not_lose_the_scan(tmp_path: Path) -> None:
    with running(Exchange()) as exchange:
        url = exchange.url
    model = PRICED.replace("URL", url)
    book = str(written(tmp_path, hedge() + model))
    found = snapshot_of(run("stress", "--book", book, "--replay", "2024-08-05", "--format", "json"), 3)
    assert found["notes"] == ["the replay of 2024-08-05 is left out, as the prices could not be read"]
    assert len(found["stress"]) == 11


class TestCorrelations:
    BOOK = perp("x", held("BTC", "0.1", 60_000), held("USDC", 3_000), position("ETH", 2, 3000), position("SOL", 10, 150))
    SIGMAS = "[model]\nvolatility = { ETH = 0.04, BTC = 0.03, SOL = 0.05 }\n"

    @pytest.mark.parametrize(
        ("correlation", "says"),
        [
            ('{ "BTC/ETH" = 1, "ETH/SOL" = 1, "BTC/SOL" = -1 }', "the correlations of BTC, ETH, SOL contradict each other"),
            ('{ "BTC/ETH" = 0.8, "ETH/BTC" = 0.7 }', "correlation ETH/BTC is given twice, with different numbers"),
            ('{ "BTC/ETH" = 1.1 }', "1.1 is out of range"),
            ('{ "BTC" = 0.5 }', 'must name two factors - such as "BTC/ETH"'),
        ],
    )
    def test_that_cannot_be(self, tmp_path: Path, correlation: str, says: str) -> None:
        assert says in refused(scanned(tmp_path, self.BOOK + self.SIGMAS + f"correlation = {correlation}\n"))

    def test_are_one_where_nothing_is_known(self, tmp_path: Path) -> None:
        _, accounts = taken(tmp_path, self.BOOK, self.SIGMAS)
        spread = 6_000 * 0.03 + 6_000 * 0.98 * 0.04 + 1_500 * 0.98 * 0.05
        assert accounts["x"]["sigma"] == pytest.approx(accounts["x"]["surplus_usd"] / spread)


class TestHistory:
    def test_gives_the_volatility_that_the_book_does_not(self, tmp_path: Path) -> None:
        prices(tmp_path, names=("ETH", "BTC"))
        found = snapshot_of(scanned(tmp_path, hedge() + PRICES, *FEW, "--format", "json"))
        # every day moves by ln 1.04
        assert found["book_health"]["sigma"]["distance"] == pytest.approx(11_400 / (10 * 3000 * 1.02 * 0.0392207), rel=1e-5)
        assert found["book_health"]["sigma"]["missing"] == []
        assert found["chance"]["method"] == "ewma"
        assert found["notes"] == []

    def test_is_drawn_from(self, tmp_path: Path) -> None:
        prices(tmp_path)
        found = snapshot_of(scanned(tmp_path, aave(24_000) + PRICES, *FEW, "--method", "bootstrap", "--format", "json"))
        assert found["chance"]["method"] == "bootstrap"
        assert 0.4 < found["chance"]["probability"] < 0.8

    def test_that_is_too_short_says_so(self, tmp_path: Path) -> None:
        prices(tmp_path, 15)
        snapshot = snapshot_of(scanned(tmp_path, hedge() + PRICES, "--format", "json"))
        assert snapshot["book_health"]["sigma"]["distance"] is None
        assert snapshot["book_health"]["sigma"]["missing"] == ["ETH"]
        assert flag(snapshot, "VOLATILITY_MISSING")["severity"] == "info"
        assert "no volatility of ETH" in refused(scanned(tmp_path, hedge() + PRICES, *FEW))
        assert "14 days with a return" in refused(scanned(tmp_path, hedge() + PRICES, *FEW, "--method", "bootstrap"))

    def test_of_other_coins_is_none_of_the_book_s(self, tmp_path: Path) -> None:
        prices(tmp_path, names=("BTC",))
        assert snapshot_of(scanned(tmp_path, hedge() + PRICES, "--format", "json"))["book_health"]["sigma"]["missing"] == ["ETH"]
        assert "no daily prices of ETH" in refused(scanned(tmp_path, hedge() + PRICES, *FEW, "--method", "bootstrap"))

    @pytest.mark.parametrize(
        ("end", "says"),
        [
            (1_700_000_000, "the price history of prices.csv ends on 2023-11-14: what is taken from it is of then, not of now"),
            (4_000_000_000, "the price history of prices.csv reaches to 2096-10-02, which is yet to come"),
        ],
    )
    def test_of_another_time_says_so(self, tmp_path: Path, end: int, says: str) -> None:
        prices(tmp_path, end=end)
        ended = scanned(tmp_path, hedge() + PRICES, "--format", "json")
        assert snapshot_of(ended)["notes"] == [says]
        assert ended.err == f"note: {says}\n"

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "prices.csv: an empty history"),
            (b"time,ETH\n", "prices.csv: an empty history"),
            (b"time,ETH\n1700000000,1\n", "prices.csv: a history of one row"),
            (b"day,ETH\n1700000000,1\n", "prices.csv:1: no column time or date"),
            (b"time,ETH\n1700000000,1e400\n1700086400,5\n", "prices.csv:2: column ETH: 'inf' is not a price"),
            (b"time,ETH\n1700000000,=1+1\n1700086400,5\n", "prices.csv:2: column ETH: '=1+1' is not a price"),
            (b"time,ETH\n1700000000,0\n1700086400,5\n", "prices.csv:2: column ETH: '0.0' is not a price"),
            (b"time,ETH\n1700000000000,4\n1700086400,5\n", "prices.csv:2: column time: '1700000000000' is not a time"),
            (b"time,ETH\n1700000000,4\n1700000000,5\n", "rows 2 and 3 have one time, 2023-11-14T22:13:20Z"),
            # half past two comes twice in the night in which the clocks go back, told apart by the offset alone
            (b"time,ETH\n2023-10-29T02:30:00,4\n2023-10-29T02:30:00,5\n", "rows 2 and 3 have one time, 2023-10-29T02:30:00Z"),
            (b"\xff\xfet\x00", "prices.csv: is UTF-16 text"),
            (b"PAR1", "prices.csv: is a Parquet file"),
        ],
    )
    def test_that_cannot_be_read(self, tmp_path: Path, content: bytes, says: str) -> None:
        (tmp_path / "prices.csv").write_bytes(content)
        assert says in refused(scanned(tmp_path, hedge() + PRICES))

    def test_is_read_whatever_wrote_it(self, tmp_path: Path) -> None:
        """A byte order mark, carriage returns, blank lines, rows in any order, offsets across a change of clocks, and a gap."""
        start = datetime(2023, 10, 20, tzinfo=UTC).timestamp()
        rows = [f"{datetime.fromtimestamp(start + DAY * day, UTC).isoformat()},{3000 + day % 2 * 120}" for day in range(40)]
        rows[9:11] = ["2023-10-29T02:00:00+02:00,3120", "2023-10-29T23:00:00-01:00,3000"]
        plain, odd = tmp_path / "plain", tmp_path / "odd"
        for folder, text in ((plain, "\n".join(["time,ETH", *rows])), (odd, "\ufeff" + "\r\n".join(["Time , ETH", *rows[::-1], "", ""]))):
            folder.mkdir()
            (folder / "prices.csv").write_bytes(text.encode())
        first, second = (snapshot_of(scanned(folder, hedge() + PRICES, "--format", "json"))["book_health"] for folder in (plain, odd))
        assert first == second
        assert first["sigma"]["distance"] == pytest.approx(11_400 / (10 * 3000 * 1.02 * 0.0392207), rel=1e-5)


class TestSince:
    def earlier(self, folder: Path, book: str) -> Path:
        path = folder / "earlier.json"
        path.write_text(scanned(folder, book, "--format", "json").out)
        return path

    def test_tells_which_parameters_changed(self, tmp_path: Path) -> None:
        before = self.earlier(tmp_path, hedge())
        changed = hedge().replace("0.83", "0.80")
        found = snapshot_of(scanned(tmp_path, changed, "--since", str(before), "--format", "json"))
        assert flag(found, "PARAMETER_CHANGE")["evidence"] == {"ETH weight": "0.83 -> 0.80"}
        same = snapshot_of(scanned(tmp_path, hedge(), "--since", str(before), "--format", "json"))
        assert "PARAMETER_CHANGE" not in codes(same)
        assert same["notes"] == []

    def test_a_foreign_snapshot_is_not_silence(self, tmp_path: Path) -> None:
        before = self.earlier(tmp_path, loan("another", held("ETH", 1, 3000, weight="0.5"), owed("USDC", 100)))
        ended = scanned(tmp_path, hedge(), "--since", str(before), "--format", "json")
        found = snapshot_of(ended)
        assert found["notes"] == [f"no parameters were compared: the snapshot {_id(before)} has no account in common with this one"]
        assert "note: no parameters were compared" in ended.err

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"{}", "not a snapshot of defi-risk"),
            (b"[1, 2]", "not a snapshot of defi-risk"),
            (b"\xff\xff", "not UTF-8 text"),
            (b"[" * 100_000, "nested"),
        ],
    )
    def test_a_broken_file(self, tmp_path: Path, content: bytes, says: str) -> None:
        (tmp_path / "broken.json").write_bytes(content)
        assert says in refused(scanned(tmp_path, hedge(), "--since", str(tmp_path / "broken.json")))

    def test_no_file(self, tmp_path: Path) -> None:
        assert "cannot be read: No such file" in refused(scanned(tmp_path, hedge(), "--since", str(tmp_path / "none.json")))
        assert "cannot be read: Is a directory" in refused(scanned(tmp_path, hedge(), "--since", str(tmp_path)))

    @pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN"])
    def test_a_number_that_none_is(self, tmp_path: Path, number: str) -> None:
        before = self.earlier(tmp_path, hedge())
        before.write_text(before.read_text().replace('"weight": 0.83', f'"weight": {number}'))
        assert "earlier.json" in refused(scanned(tmp_path, hedge(), "--since", str(before)))

    def test_an_account_that_cannot_be(self, tmp_path: Path) -> None:
        before = self.earlier(tmp_path, hedge())
        snapshot: dict[str, Any] = json.loads(before.read_text())
        snapshot["accounts"][0]["legs"][0]["amount"] = "ten"
        before.write_text(json.dumps(snapshot))
        # told before anything is read: the node that is down is not asked
        ended = run("scan", WALLET, "--book", str(written(tmp_path, hedge() + DOWN)), "--since", str(before))
        assert "amount" in refused(ended)


def _id(path: Path) -> str:
    from defi_risk.snapshot import load

    return load(str(path)).id
