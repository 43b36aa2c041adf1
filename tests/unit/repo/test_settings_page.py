from scripts.settings_page import PAGE, SERVICES, page, settings_class


def test_every_setting_is_on_the_page() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run 'make docs'"
    for service in SERVICES:
        for name in settings_class(service).model_fields:
            assert f"`RAG_{name.upper()}`" in page()
