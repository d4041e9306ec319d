"""The image, built once for all checks of containers."""

from collections.abc import Iterator

import pytest

from tests.deploy.container.engine import (
    BASE,
    DEBIAN,
    IMAGE,
    MARK,
    NAMED_BASE,
    OFFICIAL,
    Engine,
    trusted_authorities,
)


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has built the image, with a marked secret."""
    engine = Engine(with_networks=True)
    try:
        engine("import", BASE, DEBIAN, within=120)
        if not NAMED_BASE:
            engine("tag", DEBIAN, OFFICIAL)
        ca = tmp_path_factory.mktemp("secret") / "ca.pem"
        ca.write_text(f"{trusted_authorities().read_text()}\n# {MARK}\n")
        words = (
            f"--secret=id=ca,src={ca}",
            f"--build-arg=PYTHON_IMAGE={NAMED_BASE or OFFICIAL}",
            f"--tag={IMAGE}",
            ".",
        )
        engine("build", "--format=docker", "--network=host", "--pull=missing", *words, within=600)
        yield engine
    finally:
        engine.end()
