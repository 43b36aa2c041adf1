"""A service that can never start, whatever the server does: the topology has no such consumer."""

from example_service import resources

from rag_common.broker import create_broker
from rag_common.service import make_service, serve
from rag_common.settings import ServiceSettings

if __name__ == "__main__":
    settings = ServiceSettings()
    broker = create_broker(settings, "embedder")
    app = make_service(
        settings, broker, service="embedder", lifespan=resources, checks={}, consumers=["embedder-misspelt"]
    )
    serve(app, settings)
