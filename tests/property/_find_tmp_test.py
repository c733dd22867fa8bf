import hypothesis
from hypothesis import given, strategies as st, Phase
from tests import strategies as own
from tests.accounts import SETTINGS
from defi_risk.health.plan import plan
@hypothesis.settings(max_examples=2500,deadline=None,database=None)
@given(own.books(), st.booleans(), st.lists(st.floats(-.9,2),min_size=1,max_size=2))
def test_x(b,c,t):
    assert plan(b,SETTINGS,{},t,None,closing=c).feasible
