"""Which language a text is taken for."""

import pytest

from rag_generator.domain.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many days of leave does everyone have?", "en"),
        ("panthers defense points 2015", "en"),
        ("Who was Luis de la Cruz?", "en"),
        ("| Name | Port | 17 |", "en"),
        ("Сколько дней отпуска?", "ru"),
        ("Кто основал McKinsey & Company?", "ru"),
        ("Professional sports teams include the Los Angeles Rams and San Diego Chargers", "en"),
        ("Скільки днів відпустки?", None),
        ("Wie lange dauert der Urlaub?", None),
        ("Combien de jours de congé par an pour les employés ?", None),
        ("¿Cuántos días de vacaciones hay por el año?", None),
        ("Πόσες ημέρες άδειας;", None),
        ("休暇は何日ありますか", None),
        ("2015", None),
        ("", None),
    ],
)
def test_language(text: str, language: str | None) -> None:
    assert language_of(text) == language
