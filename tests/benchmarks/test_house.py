"""What the counting script counts, of a few lines."""

from benchmarks.house import code_lines, counted

TEXT = '''"""A docstring."""

# A comment.
first, second = 1, 2
a, b = pair


def short(x: Any) -> list:
    """Says what it is."""
    return [i if i else x for i in range(3)]
'''


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings() -> None:
    assert sorted(code_lines(TEXT)) == [4, 5, 8, 10]


def test_each_construct_is_counted_once() -> None:
    row = counted([TEXT])
    assert row["lines"] == 10
    for name in (
        "parallel assignments",
        "comprehensions",
        "conditional expressions",
        "Any",
        "comment lines",
    ):
        assert row[name] == 100, name
    assert row["% public functions with docstring"] == 100
