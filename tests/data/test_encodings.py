import pytest

from bertworks.data.encodings import candidates


@pytest.mark.parametrize(
    ("text", "encoding", "first"),
    [
        ("id,text\n1,un café noir, s'il vous plaît\n", "latin-1", True),
        ("id,text\n1,“curly” quotes – and dashes\n", "cp1252", True),
        ("id,text,label\n1,очень хороший фильм,да\n", "cp1251", True),
        ("id,text,label\n1,очень хороший фильм,да\n", "koi8-r", True),
        ("テキスト,ラベル\nこの映画はとても良かったです,良い\n", "shift_jis", True),
        ("文本,标签\n这是一部很好的电影，我非常喜欢。,好\n", "gb18030", False),
        ("文本,標籤\n這是一部很好的電影,好\n", "big5", False),
        ("이 영화는 정말 좋았습니다\n", "euc-kr", False),
    ],
)
def test_the_encoding_is_among_the_candidates(text: str, encoding: str, first: bool) -> None:
    found = candidates(text.encode(encoding))
    assert encoding in found[: 1 if first else 3]
    assert len(found) <= 3


def test_every_candidate_decodes_or_is_the_one_that_always_does() -> None:
    for data in (b"\x81\xff" * 50, bytes(range(128, 256)), b"a\xff", b"\x81" + b"a" * 40):
        names = candidates(data)
        assert names
        for name in names:
            data.decode(name, errors="strict" if name == "latin-1" else "ignore")


def test_a_character_cut_in_two_at_the_end_of_the_sample_is_no_fault() -> None:
    data = ("x" + "日本語のテキスト" * 5000).encode("shift_jis")
    assert candidates(data)[0] == "shift_jis"
