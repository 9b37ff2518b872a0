"""Whatever there is to gather, the archive's files keep to their limit, and small ones are complete."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from isthmus.plugin.core.gather.content import Content, log, objects, within

CONTENTS = st.lists(
    st.one_of(
        st.builds(log, st.just("log"), st.text(st.sampled_from("ab\né\ud800"), max_size=200)),
        st.builds(objects, st.just("list"), st.lists(st.dictionaries(st.just("k"), st.text(max_size=30)), max_size=8)),
    ),
    max_size=8,
)


@given(CONTENTS, st.integers(0, 2000))
def test_limit_is_kept(contents: list[Content], room: int) -> None:
    least = sum(objects("", []).size for content in contents if not content.is_log)
    total = len(contents) * objects("", []).size + room
    kept = within(contents, total)
    assert all(content.size == len(content.bytes) for content in (*contents, *kept))
    assert sum(content.size for content in kept) <= max(total, least)
    assert [content.name for content in kept] == [content.name for content in contents]
    for before, after in zip(contents, kept, strict=True):
        if not before.is_log:
            assert json.loads(after.bytes)["items"] == json.loads(before.bytes)["items"][: len(after.parts)]
        elif after.parts:
            assert before.bytes.endswith(after.bytes)
        if before.size <= total // len(contents):
            assert after == before
