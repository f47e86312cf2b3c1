"""A small, randomly initialised vision-language model in the exact layout of real repositories.

Belongs here: writing its files into a folder. Does not belong here: publishing and serving it.

The vocabulary is learned from one sentence, so the words that come out mean nothing; everything else is as the model's
authors publish it: configuration, safetensors, tokenizer, image processor and chat template.
"""

from pathlib import Path
from typing import Any

SENTENCE = "Describe the image in one sentence, with its subject, colours and light. A gray cat sleeps on a red sofa."
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Turns of Qwen2-VL in ChatML, an image as one mark between two."""


def qwen2_vl(folder: Path) -> None:
    """Qwen2-VL: a vision tower of 2 layers, a language model of 2, and the processor that keeps sizes between two bounds."""
    import torch
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = _tokenizer([*special, "<|image_pad|>", "<|video_pad|>"], eos="<|im_end|>", pad="<|endoftext|>")
    ids = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"num_key_value_heads": 2, "vocab_size": len(tokenizer), "max_position_embeddings": 2048}
    text |= {
        "rope_parameters": {"rope_type": "default", "type": "mrope", "mrope_section": [1, 1, 2], "rope_theta": 1e6}
    }
    text |= {"bos_token_id": None, "eos_token_id": ids("<|im_end|>"), "pad_token_id": ids("<|endoftext|>")}
    config = Qwen2VLConfig(
        text_config=text,
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    model = Qwen2VLForConditionalGeneration(config)
    how: Any = model.generation_config
    how.eos_token_id, how.pad_token_id = ids("<|im_end|>"), ids("<|endoftext|>")
    how.exponential_decay_length_penalty = (6, 4.0)  # a random model would never end: after 6 tokens it comes to it
    model.save_pretrained(folder)
    sizes: Any = {"min_pixels": 28 * 28 * 2, "max_pixels": 28 * 28 * 16}
    images = Qwen2VLImageProcessor(**sizes)
    processor = Qwen2VLProcessor(images, tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=QWEN_TEMPLATE)
    processor.save_pretrained(folder)


def _tokenizer(special: list[str], eos: str, pad: str) -> Any:
    """A byte-level BPE with special tokens."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator([SENTENCE], vocab_size=300, min_frequency=1)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=learned._tokenizer, eos_token=eos, pad_token=pad)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    return tokenizer
