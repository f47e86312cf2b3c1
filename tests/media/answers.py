"""What every reader of generation parameters is to find in the files that the tests write."""

ANSWERS = {
    "prompt": "a fox",
    "negative_prompt": "blurry",
    "seed": 7,
    "steps": 20,
    "sampler": "euler",
    "cfg_scale": 5.5,
    "model": "m",
}
