"""Logs of a teacher that was asked by zero-shot chain of thought, as that harness writes them."""

TRIGGER = "Let's think step by step."
YES_NO_END = "Therefore, the answer (Yes or No) is"


def make_block(question, rationale, *, answer=" Yes.", predicted="yes", end=YES_NO_END, number=1):
    return (
        f"{'*' * 25}\n{number}st data\n1_th_sampling\nQ: {question}\nA: {TRIGGER}{rationale}\n{end}{answer}\n"
        f"pred_before :{answer}\npred_after : {predicted}\npred_list : ['{predicted}']\npred_mode : {predicted}\n"
        f"GT : yes\n{'*' * 25}\n"
    )


def log_of(*blocks, model="gpt3-xl"):
    head = f"{'*' * 29}\nNamespace(method='zero_shot_cot', model='{model}', random_seed=1)\n{'*' * 29}\ndata size : 9\n"
    return head + "".join(blocks) + "accuracy : 50.0\n"
