"""What vision-language models say of samples: captions and answers, each a table of its dataset."""
