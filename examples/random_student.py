"""Make a student with random weights in the shape of GPT-2, to try a configuration at full size without a download.

    python examples/random_student.py TOKENIZER OUT                                        # 124M, as `gpt2`
    python examples/random_student.py TOKENIZER OUT --layers 24 --width 1024 --heads 16    # 355M, as `gpt2-medium`

TOKENIZER is a folder with GPT-2's vocab.json and merges.txt, or any folder that transformers reads a tokenizer from.
Such a student learns, but it cannot reason: its accuracies say nothing.
"""

import argparse
from pathlib import Path

from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, GPT2Tokenizer, set_seed


def main() -> None:
    """Write the student."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    own = (given.tokenizer / "tokenizer.json").is_file()
    tokenizer = (AutoTokenizer if own else GPT2Tokenizer).from_pretrained(given.tokenizer)
    set_seed(given.seed)
    end = tokenizer.eos_token_id
    shape = {"n_layer": given.layers, "n_embd": given.width, "n_head": given.heads}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, **shape))
    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    print(f"{model.num_parameters():,} random parameters in {given.out}")


if __name__ == "__main__":
    main()
