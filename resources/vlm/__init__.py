"""Vision-language models: a question about images in, an answer in words out.

Belongs here: reaching a server or a local model, and what it answers. Does not belong here: prompts, tables and money, which
belong to the room ``captions``.
"""
