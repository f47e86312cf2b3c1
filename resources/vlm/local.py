"""A vision-language model on this machine, by transformers: any ``AutoModelForImageTextToText`` of a folder or the Hub.

Belongs here: loading it, and one answer. Does not belong here: servers (``server.py``), which batch and are faster on a GPU.

Weights are safetensors, and a repository of the Hub is pinned to a commit. Its code is not run, except for files whose hashes are
stated (``resources.repository_code``).
"""

import io
import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.repository_code import RepositoryCodeError, with_pinned_code
from resources.vlm.question import Answer, NoAnswerError, Question, VlmError

log = logging.getLogger(__name__)
OF_LOADING = (OSError, ValueError, KeyError, TypeError, RuntimeError)
"""What transformers raises for a model that it cannot load; code of a repository may raise anything."""
NOT_FETCHED = ("*.py", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.gguf")
"""Of a repository with code of its own: other code, pickles, and weights for other libraries."""
COMMIT = re.compile(r"[0-9a-f]{40}")


class LocalVlm:
    """See the module. Safe in threads, which take turns.

    Args:
        model: a folder, or ``owner/name`` on the Hub.
        revision: the commit, 40 hex digits; empty for a folder.
        device: ``auto`` for CUDA if there is one, else ``cpu``; or what torch calls it.
        code: Python files of the repository that are run -> SHA-256; none without. No other code of it is fetched.
    """

    structured = False

    def __init__(
        self, model: str, revision: str = "", device: str = "auto", code: Mapping[str, str] | None = None
    ) -> None:
        if code and not COMMIT.fullmatch(revision):
            raise VlmError(
                f"local model '{model}': trust_remote_code needs a commit of the Hub as `revision` (40 hex digits), not "
                f"'{revision}': other code may change"
            )
        if not Path(model).is_dir() and not COMMIT.fullmatch(revision):
            raise VlmError(
                f"local model '{model}': there is no such folder, and a model of the Hub needs a commit as `revision` "
                f"(40 hex digits), not '{revision}'"
            )
        self.model, self.revision, self.device, self.code = model, revision, device, dict(code or {})
        self._loaded: tuple[Any, Any] | None = None
        self._lock = threading.Lock()

    def check(self, schema: Mapping[str, Any] | None) -> None:
        """See ``Vlm.check``: loads the model."""
        with self._lock:
            self._load()

    def ask(self, question: Question) -> Answer:
        """See ``Vlm.ask``."""
        import torch
        from PIL import Image

        with self._lock:
            processor, model = self._load()
            pictures = [Image.open(io.BytesIO(one)).convert("RGB") for one in question.images]
            content: list[dict[str, Any]] = [{"type": "image", "image": one} for one in pictures]
            messages = [{"role": "user", "content": [*content, {"type": "text", "text": question.text}]}]
            if question.system:
                messages.insert(0, {"role": "system", "content": [{"type": "text", "text": question.system}]})
            try:
                inputs = processor.apply_chat_template(
                    messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
                ).to(model.device)
                given = inputs["input_ids"].shape[1]
                torch.manual_seed(question.sampling.seed)
                with torch.inference_mode():
                    tokens = model.generate(**inputs, **_generation(question))[0][given:]
            except (RuntimeError, ValueError, MemoryError) as error:
                line = " ".join(str(error).split())
                raise NoAnswerError(f"model_failed: {type(error).__name__}: {line[:160]}", 1) from error
            text = processor.batch_decode([tokens], skip_special_tokens=True)[0]
        ends = model.generation_config.eos_token_id
        ended = int(tokens[-1]) in (ends if isinstance(ends, list) else [ends])
        cut = not ended and len(tokens) >= question.sampling.max_tokens
        return Answer(text, "length" if cut else "stop", "", self.model, int(given), len(tokens), 1)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from safetensors import SafetensorError
            from transformers import AutoModelForImageTextToText, AutoProcessor

            device = self.device
            if device == "auto":
                device = "cuda" if torch.cuda.is_available() else "cpu"
            source, chosen = self._source()
            dtype = torch.float32 if device == "cpu" else torch.bfloat16
            try:
                processor = AutoProcessor.from_pretrained(source, **chosen)
                model = AutoModelForImageTextToText.from_pretrained(source, use_safetensors=True, dtype=dtype, **chosen)
                model.to(device)  # type: ignore[arg-type]
                self._loaded = processor, model.eval()
            except ImportError as error:
                line = " ".join(str(error).split())
                raise VlmError(
                    f"local model '{self.model}' needs a package that is not installed: {line[:300]}"
                ) from error
            except Exception as error:
                if not self.code and not isinstance(error, (*OF_LOADING, SafetensorError)):
                    raise
                line = " ".join(str(error).split())
                raise VlmError(f"local model '{self.model}' cannot be loaded: {line[:300]}") from error
        return self._loaded

    def _source(self) -> tuple[str, dict[str, Any]]:
        """Where transformers finds the model, and what it may do."""
        revision = {"revision": self.revision} if self.revision else {}
        if not self.code:
            return self.model, {"trust_remote_code": False, **revision}
        from huggingface_hub import hf_hub_download, snapshot_download

        try:
            folder = Path(snapshot_download(self.model, revision=self.revision, ignore_patterns=list(NOT_FETCHED)))
            for path in self.code:
                hf_hub_download(self.model, path, revision=self.revision)
            files = [path for path in folder.rglob("*") if path.is_file() and not any(map(path.match, NOT_FETCHED))]
            source = with_pinned_code(folder, [path.relative_to(folder).as_posix() for path in files], self.code)
        except (OSError, ValueError, RepositoryCodeError) as error:
            line = " ".join(str(error).split())
            raise VlmError(f"local model '{self.model}': trust_remote_code: {line[:400]}") from error
        log.warning("local model %s: runs code of it at %s (%s)", self.model, self.revision, ", ".join(self.code))
        return str(source), {"trust_remote_code": True, "local_files_only": True}


def _generation(question: Question) -> dict[str, Any]:
    sampling = question.sampling
    if sampling.temperature == 0:
        return {"max_new_tokens": sampling.max_tokens, "do_sample": False}
    return {
        "max_new_tokens": sampling.max_tokens,
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
