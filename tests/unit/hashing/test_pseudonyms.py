from collections import Counter
from itertools import compress

import numpy as np
import pytest
import siphashc
from hypothesis import given
from hypothesis import strategies as st

from dpdau.hashing import Pseudonymizer, Sampler
from dpdau.model.texts import FoldedColumn
from support.texts import text_column


def test_the_hash_is_siphash_2_4() -> None:
    # The reference vector of Aumasson & Bernstein (2012), appendix A.
    assert siphashc.siphash(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


@given(st.lists(st.text(min_size=1, max_size=20).filter(lambda t: t.isprintable()), unique=True))
def test_the_same_id_has_the_same_pseudonym_and_another_id_another(user_ids: list[str]) -> None:
    hashing = Pseudonymizer("a secret of the tests")
    pseudonyms = hashing.pseudonyms(user_ids)
    assert pseudonyms.dtype == np.uint64
    assert len(set(pseudonyms.tolist())) == len(user_ids)
    assert (
        pseudonyms.tolist() == Pseudonymizer("a secret of the tests").pseudonyms(user_ids).tolist()
    )


def test_another_secret_gives_other_pseudonyms_and_another_key_check_value() -> None:
    one, other = Pseudonymizer("a secret of the tests"), Pseudonymizer("another secret, longer")
    assert one.pseudonyms(["ada"])[0] != other.pseudonyms(["ada"])[0]
    assert one.key_check_value != other.key_check_value


def test_pseudonyms_are_spread_evenly_over_their_bits() -> None:
    pseudonyms = Pseudonymizer("a secret of the tests").pseudonyms([f"u{i}" for i in range(4096)])
    leading = Counter((pseudonyms >> np.uint64(60)).tolist())
    # 256 expected in each of 16 cells, standard deviation 15.5: ±6 of them. The input is fixed.
    assert all(abs(leading[cell] - 256) < 93 for cell in range(16))


@pytest.mark.parametrize("size", [0, 1, 999, 1_000, 20_000])
def test_columns_of_any_kind_have_the_pseudonyms_and_the_sample_of_their_ids(size: int) -> None:
    ids = [f"ü{n % 7_000}" + "-" * (n % 30) for n in range(size)]
    codes = np.arange(2 * size, dtype=np.int32)[::-1] // 2
    hashing = Pseudonymizer("a secret of the tests", Pseudonymizer("the secret before it"))
    sampler = Sampler(bytes(16), 1)
    texts = text_column(ids)
    for column in (texts, FoldedColumn(texts, codes), FoldedColumn(ids, codes)):
        plain = list(column)
        for hashed in (hashing.pseudonyms, hashing.previous_pseudonyms, sampler.sampled):
            found, expected = hashed(column), hashed(plain)
            assert found is not None
            assert expected is not None
            assert found.dtype == expected.dtype
            assert found.tolist() == expected.tolist()
        assert hashing.requests("a name", column) == hashing.requests("a name", plain)


def test_no_ids_give_no_pseudonyms() -> None:
    assert Pseudonymizer("a secret of the tests").pseudonyms([]).shape == (0,)


class TestSampling:
    IDS = tuple(f"ü-{each}" for each in range(4_000))

    def test_a_decision_is_made_once_and_for_all_by_id_and_key(self) -> None:
        sampler = Sampler(bytes(16), 2)
        alone = [bool(sampler.sampled([each])[0]) for each in self.IDS[:50]]
        assert sampler.sampled(self.IDS[:50]).tolist() == alone
        assert Sampler.parse(str(sampler)) == sampler

    @pytest.mark.parametrize("exponent", [1, 3, 16])
    def test_a_lower_rate_keeps_a_part_of_the_sample(self, exponent: int) -> None:
        more = Sampler(b"0123456789abcdef", exponent).sampled(self.IDS)
        fewer = Sampler(b"0123456789abcdef", exponent + 1).sampled(self.IDS)
        assert not (fewer & ~more).any()

    def test_another_key_keeps_others(self) -> None:
        one, other = (Sampler.create(1).sampled(self.IDS) for _ in range(2))
        # Two fair coins agree on 4,000 ids with probability 2^-4000.
        assert (one != other).any()

    def test_pseudonyms_of_sampled_users_are_uniform(self) -> None:
        kept = Sampler.create(3).sampled(self.IDS)
        pseudonyms = Pseudonymizer("x" * 16).pseudonyms(list(compress(self.IDS, kept)))
        # Six standard errors of the mean of uniform numbers.
        mean = float((pseudonyms / 2.0**64).mean())
        assert abs(mean - 0.5) < 6 * (1 / 12 / kept.sum()) ** 0.5
