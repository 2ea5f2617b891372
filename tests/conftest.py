# SPDX-License-Identifier: Apache-2.0
"""Fixtures that process, security and VM tests share. "make test" sets CAISSON_PREFIX (the installed product),
CAISSON_TEST_TMP, CAISSON_TEST_IMAGE and CAISSON_TEST_ACCOUNT; without them only tests/style can run."""
import os
import pathlib
import shutil
import tempfile

import pytest

import desktop


@pytest.fixture(scope="session")
def prefix():
    if "CAISSON_PREFIX" not in os.environ:
        pytest.fail("CAISSON_PREFIX is not set: run these tests with make")
    return desktop.prefix()


@pytest.fixture(scope="session")
def work_dir():
    """A world-searchable directory for homes, removed at the end."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="caisson-t.", dir=os.environ.get("CAISSON_TEST_TMP")))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def new_desktop(prefix, work_dir, request):
    """Makes desktops of their own HOME; whatever they still run at the end of the test is killed."""
    made = []

    def make(name="home", **kw):
        home = work_dir / f"{request.node.name[:40].replace('/', '_')}-{len(made)}" / name
        home.parent.mkdir(parents=True, exist_ok=True)
        home.parent.chmod(0o755)
        made.append(desktop.Desktop(home, **kw))
        return made[-1]

    yield make
    for d in made:
        d.kill_all()
        shutil.rmtree(d.home.parent, ignore_errors=True)
