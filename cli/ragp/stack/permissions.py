def permissions(role: str) -> dict[str, object]:
    return {"publish": {"allow": [">"]}, "subscribe": {"allow": [">"]}}
