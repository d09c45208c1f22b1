"""FairShares: each product its share by weight, exactly, and nobody waits for more than a round."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from pleme_redis_django.jobs.interface.fair_shares import SHARE, FairShares, Strand


class Backlog:
    """Ready jobs of some products, and a claim as a store makes it."""

    def __init__(self, weights: dict[str, float], ready: dict[str, int]) -> None:
        self.shares = FairShares(weights)
        self.ready = Counter(ready)
        for product in ready:
            self.shares.join(Strand(product))

    def add(self, product: str, count: int) -> None:
        self.ready[product] += count
        self.shares.join(Strand(product))

    def claim(self, limit: int) -> Counter[str]:
        taken: Counter[str] = Counter()
        while taken.total() < limit and +self.ready:
            rest = limit - taken.total()
            shares = self.shares.deal(rest)
            assert shares, "who has ready jobs is in the rotation"
            got: Counter[Strand] = Counter()
            for share in shares:
                count = min(share.jobs, self.ready[share.strand.product], rest - got.total())
                got[share.strand] += count
                self.ready[share.strand.product] -= count
            self.shares.settle(shares, got, is_cut=got.total() == rest)
            taken += Counter({strand.product: count for strand, count in got.items()})
        return taken


def assert_near(taken: Counter[str], due: dict[str, int]) -> None:
    """Check that every product got what is due, up to the share that is dealt at a time."""
    assert all(abs(taken[product] - due[product]) <= 2 * SHARE for product in due), taken


def test_products_get_what_their_weights_say() -> None:
    backlog = Backlog({"a": 4, "b": 2}, {"a": 100_000, "b": 100_000, "c": 100_000})
    taken = sum((backlog.claim(200) for _ in range(210)), Counter())
    assert_near(taken, {"a": 24_000, "b": 12_000, "c": 6_000})


def test_small_claims_are_shared_as_large_ones_are() -> None:
    backlog = Backlog({"a": 3}, {"a": 10_000, "b": 10_000})
    taken = sum((backlog.claim(1) for _ in range(4_000)), Counter())
    assert_near(taken, {"a": 3_000, "b": 1_000})


def test_one_product_alone_gets_everything() -> None:
    backlog = Backlog({}, {"a": 1_000})
    assert backlog.claim(200) == {"a": 200}


def test_what_a_product_leaves_goes_to_the_others() -> None:
    backlog = Backlog({}, {"a": 3, "b": 1_000})
    assert backlog.claim(200) == {"a": 3, "b": 197}


def test_a_newcomer_starts_within_the_next_claim() -> None:
    backlog = Backlog({}, {f"p{number}": 1_000 for number in range(1_000)})
    for _ in range(10):
        backlog.claim(200)
    backlog.add("new", 1)
    assert backlog.claim(5)["new"] == 1


def test_going_away_does_not_pay() -> None:
    backlog = Backlog({}, {"stays": 100_000})
    taken: Counter[str] = Counter()
    for _ in range(1_000):
        backlog.add("comes_and_goes", SHARE)
        taken += backlog.claim(2 * SHARE)
    assert taken["comes_and_goes"] <= taken["stays"] + 2 * SHARE


def test_a_product_that_was_alone_has_no_debt() -> None:
    backlog = Backlog({}, {"a": 10_000})
    backlog.claim(5_000)
    backlog.shares.charge(["a"] * 3_000)
    backlog.add("b", 10_000)
    taken = backlog.claim(100) + backlog.claim(100)
    assert abs(taken["a"] - taken["b"]) <= 2 * SHARE


def test_the_last_share_of_a_full_claim_says_nothing_of_its_product() -> None:
    shares = FairShares({})
    for product in "abc":
        shares.join(Strand(product))
    dealt = shares.deal(6)
    first, second = dealt[:2]
    shares.settle(dealt, {first.strand: first.jobs, second.strand: 2}, is_cut=True)
    assert {share.strand.product for share in shares.deal(12)} == {"a", "b", "c"}


def test_who_gives_less_than_its_share_leaves() -> None:
    shares = FairShares({})
    for product in "abc":
        shares.join(Strand(product))
    dealt = shares.deal(12)
    shares.settle(dealt, {dealt[0].strand: 1, dealt[1].strand: 4, dealt[2].strand: 4}, is_cut=False)
    assert dealt[0].strand not in {share.strand for share in shares.deal(100)}


def test_a_product_in_several_queues_gets_one_share() -> None:
    shares = FairShares({})
    for queue in ("x", "y", "z"):
        shares.join(Strand("a", queue))
    shares.join(Strand("b", "x"))
    dealt = shares.deal(96)
    of_product = Counter[str]()
    for share in dealt:
        of_product[share.strand.product] += share.jobs
    assert of_product["a"] == of_product["b"]
    assert {share.strand.queue_name for share in dealt if share.strand.product == "a"} == {"x", "y", "z"}


def test_a_claim_that_failed_leaves_everybody_in_turn() -> None:
    shares = FairShares({})
    for product in "ab":
        shares.join(Strand(product))
    first = shares.deal(4)
    shares.settle(first, {}, is_cut=True)
    assert shares.deal(4) == first


def test_nothing_is_kept_of_products_that_have_gone() -> None:
    shares = FairShares({})
    for number in range(5_000):
        shares.join(Strand("stays"))
        shares.join(Strand(f"p{number}"))
        dealt = shares.deal(SHARE)
        shares.settle(dealt, {share.strand: 1 for share in dealt}, is_cut=False)
        shares.forget()
    assert len(shares._times) < 50
    assert len(shares._heap) < 500


products = st.sampled_from("abcdef")


@given(
    st.dictionaries(products, st.floats(0.1, 10)),
    st.lists(st.tuples(products, st.integers(1, 50)), min_size=1, max_size=30),
    st.lists(st.integers(1, 40), min_size=1, max_size=40),
)
def test_everything_ready_is_claimed_and_nobody_falls_behind(
    weights: dict[str, float], arrivals: list[tuple[str, int]], claims: list[int]
) -> None:
    backlog = Backlog(weights, {})
    for number, limit in enumerate(claims):
        if number < len(arrivals):
            backlog.add(*arrivals[number])
        ready = backlog.ready.total()
        assert backlog.claim(limit).total() == min(limit, ready)
    for _ in range(200):
        backlog.claim(40)
    assert not +backlog.ready


@given(
    st.lists(st.floats(0.5, 8), min_size=2, max_size=6),
    st.lists(st.integers(1, 200), min_size=20, max_size=60),
)
@example([0.5, 1.5, 3.5, 4.2, 4.2, 7.6], [4, 181, *[1] * 20])
def test_no_product_gets_ahead_of_another_by_more_than_their_shares(
    weights: list[float], claims: list[int]
) -> None:
    names = [f"p{number}" for number in range(len(weights))]
    backlog = Backlog(dict(zip(names, weights, strict=True)), dict.fromkeys(names, 100_000))
    taken: Counter[str] = Counter()
    # While nobody knows whether the others have more than a share, one may get the most of a claim. All of the others
    # are served before it gets more, however little its weight is.
    for limit in [*claims[:2], *[200] * 100]:
        taken += backlog.claim(limit)
    for limit in claims[2:]:
        taken += backlog.claim(limit)
        # In virtual time nobody is further from anybody else than by the shares of both, and those of their starts.
        for (one, its), (other, others) in itertools.combinations(zip(names, weights, strict=True), 2):
            assert abs(taken[one] / its - taken[other] / others) <= 2 * (SHARE / its + SHARE / others)


def after_a_claim(products: dict[str, int], limit: int) -> Backlog:
    """Return a backlog of which everybody has given a whole share."""
    backlog = Backlog({}, products)
    backlog.claim(limit)
    return backlog


def test_a_newcomer_that_gives_little_leaves_no_claim_short() -> None:
    backlog = after_a_claim({"big": 10_000}, 100)
    backlog.add("small", 1)
    dealt = {share.strand.product: share.jobs for share in backlog.shares.deal(100)}
    assert dealt["big"] + 1 >= 100


def test_what_products_gave_less_last_time_is_dealt_more_the_next_time() -> None:
    """With a job or two of each, a claim asks for as many products as it needs, and not again for the rest."""
    backlog = after_a_claim({f"p{number}": 2 for number in range(1_000)}, 100)
    assert SHARE * len(backlog.shares.deal(100)) >= 200
