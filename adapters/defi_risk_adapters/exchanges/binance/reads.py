"""Everything that may be asked of Binance, by name.

`..._now` is the same question as the kept one, asked afresh: for a contract that is younger than the list, for a mode that must be sure
and for prices that decide about a margin balance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from defi_risk.spi import ExchangeRead

_TABLES: Final = 21_600
_PRICES: Final = 600
_SOON: Final = 60


def _kept(method: str, path: str, seconds: int, *, private: bool = False) -> ExchangeRead:
    return ExchangeRead(method, (f"GET {path}",), kept=seconds, private=private)


def _now(method: str, path: str, *, private: bool = True) -> ExchangeRead:
    return ExchangeRead(method, (f"GET {path}",), private=private)


READS: Final[Mapping[str, ExchangeRead]] = {
    "time": ExchangeRead("fetch_time", ("GET /api/v3/time", "GET /fapi/v1/time", "GET /dapi/v1/time"), private=False),
    "info": _kept("sapiGetAccountInfo", "/sapi/v1/account/info", _PRICES, private=True),
    "info_now": _now("sapiGetAccountInfo", "/sapi/v1/account/info"),
    "rights": _now("sapiGetAccountApiRestrictions", "/sapi/v1/account/apiRestrictions"),
    "account": _now("fapiPrivateV2GetAccount", "/fapi/v2/account"),
    "account_v3": _now("fapiPrivateV3GetAccount", "/fapi/v3/account"),
    "multi_assets": _kept("fapiPrivateGetMultiAssetsMargin", "/fapi/v1/multiAssetsMargin", _PRICES, private=True),
    "positions": _now("fapiPrivateV3GetPositionRisk", "/fapi/v3/positionRisk"),
    "brackets": _kept("fapiPrivateGetLeverageBracket", "/fapi/v1/leverageBracket", _TABLES, private=True),
    "brackets_now": _now("fapiPrivateGetLeverageBracket", "/fapi/v1/leverageBracket"),
    "contracts": _kept("fapiPublicGetExchangeInfo", "/fapi/v1/exchangeInfo", _TABLES),
    "contracts_now": _now("fapiPublicGetExchangeInfo", "/fapi/v1/exchangeInfo", private=False),
    "premium": _kept("fapiPublicGetPremiumIndex", "/fapi/v1/premiumIndex", _PRICES),
    "intervals": _kept("fapiPublicGetFundingInfo", "/fapi/v1/fundingInfo", _TABLES),
    "index": _kept("fapiPublicGetAssetIndex", "/fapi/v1/assetIndex", _PRICES),
    "index_now": _now("fapiPublicGetAssetIndex", "/fapi/v1/assetIndex", private=False),
    "coin_account": _now("dapiPrivateGetAccount", "/dapi/v1/account"),
    "coin_positions": _now("dapiPrivateGetPositionRisk", "/dapi/v1/positionRisk"),
    "coin_brackets": _kept("dapiPrivateV2GetLeverageBracket", "/dapi/v2/leverageBracket", _TABLES, private=True),
    "coin_brackets_now": _now("dapiPrivateV2GetLeverageBracket", "/dapi/v2/leverageBracket"),
    "coin_contracts": _kept("dapiPublicGetExchangeInfo", "/dapi/v1/exchangeInfo", _TABLES),
    "coin_contracts_now": _now("dapiPublicGetExchangeInfo", "/dapi/v1/exchangeInfo", private=False),
    "coin_premium": _kept("dapiPublicGetPremiumIndex", "/dapi/v1/premiumIndex", _PRICES),
    "coin_premium_now": _now("dapiPublicGetPremiumIndex", "/dapi/v1/premiumIndex", private=False),
    "coin_intervals": _kept("dapiPublicGetFundingInfo", "/dapi/v1/fundingInfo", _TABLES),
    "pm_account": _now("papiGetAccount", "/papi/v1/account"),
    "pm_balance": _now("papiGetBalance", "/papi/v1/balance"),
    "pm_um": _now("papiGetUmPositionRisk", "/papi/v1/um/positionRisk"),
    "pm_cm": _now("papiGetCmPositionRisk", "/papi/v1/cm/positionRisk"),
    "pm_um_brackets": _kept("papiGetUmLeverageBracket", "/papi/v1/um/leverageBracket", _TABLES, private=True),
    "pm_um_brackets_now": _now("papiGetUmLeverageBracket", "/papi/v1/um/leverageBracket"),
    "pm_cm_brackets": _kept("papiGetCmLeverageBracket", "/papi/v1/cm/leverageBracket", _TABLES, private=True),
    "pm_cm_brackets_now": _now("papiGetCmLeverageBracket", "/papi/v1/cm/leverageBracket"),
    "pm_rates": _kept("sapiGetPortfolioCollateralRate", "/sapi/v1/portfolio/collateralRate", _TABLES),
    "pm_leverages": _kept("sapiGetPortfolioMarginAssetLeverage", "/sapi/v1/portfolio/margin-asset-leverage", _TABLES),
    "pm_index": _kept("sapiGetPortfolioAssetIndexPrice", "/sapi/v1/portfolio/asset-index-price", _SOON),
    "pm_index_now": _now("sapiGetPortfolioAssetIndexPrice", "/sapi/v1/portfolio/asset-index-price", private=False),
}
