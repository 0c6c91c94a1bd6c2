"""Writes prices.toml from the package genai-prices, which people keep by the providers' pages.

pip install genai-prices==0.2.3 && python trace/prices/generate.py > trace/prices/prices.toml
"""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
    ModelPrice,
    TieredPrices,
)

# Its name of a provider, and the values of gen_ai.provider.name that mean it: OTel's present and former ones, and those
# of other instrumentations.
PROVIDERS = {
    "openai": ["openai"],
    "anthropic": ["anthropic"],
    "google": ["gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai", "gemini", "vertex_ai", "vertexai", "google"],
    "azure": ["azure.ai.openai", "azure.ai.inference", "az.ai.openai", "az.ai.inference", "azure"],
    "aws": ["aws.bedrock", "aws", "bedrock"],
    "mistral": ["mistral_ai", "mistralai", "mistral"],
    "groq": ["groq"],
    "cohere": ["cohere"],
    "deepseek": ["deepseek"],
    "x-ai": ["x_ai", "xai"],
}
# What a call costs besides its tokens, a span does not tell: such models have no price here.
PER_REQUEST = "requests_kcount"
# A name that ends in a date, as providers give to the states of a model.
DATED = re.compile(r"\^(?P<name>[\w.\\:-]+?)-\\d\{(?:4|8)\}(?:-\\d\{2\}-\\d\{2\})?\$")


def patterns(match: MatchLogic) -> Iterator[str]:
    """Names as prices.toml has them; what cannot be said there is left out."""
    match match:
        case ClauseEquals():
            yield match.equals
        case ClauseStartsWith():
            yield f"{match.starts_with}*"
        case ClauseRegex():
            if dated := DATED.fullmatch(match.regex):
                yield f"{dated['name'].replace(chr(92), '')}-20*"
        case ClauseOr():
            for part in match.or_:
                yield from patterns(part)
        case _:
            pass


def line(price: ModelPrice) -> str | None:
    """The prices of a model as an inline table; None where tokens alone do not make its price."""
    keys = {
        "input": "input_mtok",
        "cached": "cache_read_mtok",
        "cache_write": "cache_write_mtok",
        "output": "output_mtok",
    }
    found = {key: value for key, name in keys.items() if (value := getattr(price, name, None)) is not None}
    if "input" not in found or getattr(price, PER_REQUEST, None) is not None:
        return None
    starts = [tier.start for value in found.values() if isinstance(value, TieredPrices) for tier in value.tiers]
    fields = [f"{key} = {value.base if isinstance(value, TieredPrices) else value}" for key, value in found.items()]
    if starts:
        fields.append(f"up_to = {min(starts)}")
    return "{ " + ", ".join(fields) + " }"


HEAD = """\
# Prices of models in USD for a million tokens, by provider and model: written by generate.py, not by hand.
#
# A name that ends in * means all that begin so; of several that fit, an exact one counts, else the longest. `cached`
# and `cache_write` are for tokens of the prompt that come from a cache or go into one, where they cost something else
# than `input`. `up_to` is how many tokens a prompt may have for these prices to hold; beyond it they are unknown.
source = "genai-prices {version}, MIT, https://github.com/pydantic/genai-prices"
date = {date:%Y-%m-%d}
"""


def main() -> None:
    """Writes the table to the standard output."""
    now = datetime.now(UTC)
    sys.stdout.write(HEAD.format(version=version("genai-prices"), date=now))
    for provider in providers:
        if provider.id not in PROVIDERS:
            continue
        table: dict[str, str | None] = {}
        # Who sells models of others sells them at their prices, unless it says something else.
        others = [other for other in providers if other.id in (provider.fallback_model_providers or ())]
        for model in [model for seller in (provider, *others) for model in seller.models]:
            for pattern in sorted(set(patterns(model.match))):
                # The first that matches is the one that counts there.
                table.setdefault(pattern.lower(), line(model.get_prices(now)))
        names = ", ".join(f'"{name}"' for name in PROVIDERS[provider.id])
        sys.stdout.write(f'\n[providers."{provider.id}"]\nnames = [{names}]\n\n[providers."{provider.id}".models]\n')
        sys.stdout.writelines(f'"{pattern}" = {prices}\n' for pattern, prices in sorted(table.items()) if prices)


if __name__ == "__main__":
    main()
