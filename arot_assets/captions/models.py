"""Who is asked: the vision-language model that a declaration names.

Belongs here: from a declaration to what ``resources.vlm`` offers. Does not belong here: any request.
"""

from arot_assets.captions.declaration import CaptionsDeclaration
from resources.root import project_root
from resources.vlm.local import LocalVlm
from resources.vlm.question import Vlm
from resources.vlm.server import ServerSettings, VlmServer

LOCAL_THREADS = 2
"""A local model takes one question at a time; the next image is prepared meanwhile."""


def vlm_of(declaration: CaptionsDeclaration) -> Vlm:
    """The model; nothing is reached or loaded yet.

    Raises:
        VlmError: a local model is neither a folder nor pinned.
    """
    server, local = declaration.server, declaration.local
    if server is not None:
        return VlmServer(
            ServerSettings(
                server.url, server.model, server.key_variable, server.concurrency, server.attempts, server.seconds
            )
        )
    assert local is not None, "the declaration has one of both"
    folder = project_root() / local.model
    if local.trust_remote_code:
        return LocalVlm(local.model, local.revision, code=local.files)
    return LocalVlm(str(folder) if folder.is_dir() else local.model, local.revision)


def threads_of(declaration: CaptionsDeclaration) -> int:
    """Questions under way at the same time."""
    return declaration.server.concurrency if declaration.server else LOCAL_THREADS
