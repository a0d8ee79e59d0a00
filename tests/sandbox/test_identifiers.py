import re

from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.sandbox import identifiers

seeds = st.integers(0, 2**31)


@given(seeds, st.integers(0, 9 * 10**14 - 1))
def test_an_image_id_leads_back_to_its_number(seed: int, number: int) -> None:
    name = identifiers.image_id(seed, number)
    assert re.fullmatch(r"[1-9][0-9]{14,16}", name)
    assert identifiers.image_number(seed, name) == number


@given(seeds, st.integers(0, 10**13))
def test_a_sequence_id_leads_back_to_its_number(seed: int, number: int) -> None:
    name = identifiers.sequence_id(seed, number)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", name)
    assert identifiers.sequence_number(seed, name) == number


@given(seeds, st.text())
def test_foreign_names_lead_nowhere_or_to_themselves(seed: int, name: str) -> None:
    image = identifiers.image_number(seed, name)
    assert image is None or identifiers.image_id(seed, image) == name
    sequence = identifiers.sequence_number(seed, name)
    assert sequence is None or identifiers.sequence_id(seed, sequence) == name


def test_ids_are_as_varied_as_the_real_ones() -> None:
    ids = [identifiers.image_id(1, number) for number in range(3000)]
    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {15, 16, 17}
    assert any(int(each) != int(float(each)) for each in ids), "no id that a double would round"
    sequences = [identifiers.sequence_id(1, number) for number in range(100)]
    assert len(set(sequences)) == len(sequences)
    assert {"-", "_"} <= {each[0] for each in sequences}
