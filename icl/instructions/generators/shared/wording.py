"""What the model is told, in English and Chinese: the published structure in icl's own words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """The fixed texts of the prompts of one language."""

    series: str
    kinds: str
    is_classification: str
    yes: str
    no: str
    task: str
    example: str
    input: str
    output: str
    label: str
    input_first: str
    output_first: str
    alpaca: str
    alpaca_list: str
    no_input: str
    instruction: str
    constraints: str
    rephrase: str
    original: str
    alternative: str


ENGLISH = Wording(
    series="Here is a list of tasks of many kinds, each described in one line:",
    kinds="Can the task be done by choosing from a small, fixed set of labels? Then it is classification.",
    is_classification="Is it classification?",
    yes="Yes",
    no="No",
    task="Task:",
    example="Example",
    input="Input",
    output="Output",
    label="Class label:",
    input_first=(
        "For each task make examples of what it may be given and of the right answer. Where a task needs no "
        "input, the output stands alone."
    ),
    output_first=(
        "For each classification task make examples. Name a label first, then write an input to which this "
        "label belongs. Use different labels."
    ),
    alpaca=(
        "Write a list of {count} tasks for a language model, all different from one another.\n"
        "1. Begin with a different verb each time where you can.\n"
        "2. Mix questions and commands, in varied wording.\n"
        "3. Mix kinds of work: writing, sorting into classes, changing texts, explaining, planning, others.\n"
        "4. Ask for text only: no images, no sounds, nothing that has to be done outside the conversation.\n"
        "5. Write in English, one or two sentences an instruction.\n"
        "6. Give a fitting input with real content, not a placeholder, of at most 100 words.\n"
        "7. Where an instruction needs no input, write <noinput> there.\n"
        "8. The output answers the instruction for this input in fewer than 100 words."
    ),
    alpaca_list="The {count} tasks:",
    no_input="<noinput>",
    instruction="Instruction",
    constraints="Constraints",
    rephrase="Say each instruction again in other words. Its meaning stays the same.",
    original="Instruction",
    alternative="In other words",
)
CHINESE = Wording(
    series="下面是各种各样的任务，每行一个：",
    kinds="如果一个任务可以从少数几个固定标签中选择答案，它就是分类任务。",
    is_classification="这是分类任务吗？",
    yes="是",
    no="否",
    task="任务：",
    example="例子",
    input="输入",
    output="输出",
    label="类别：",
    input_first="请为每个任务写出例子：可能的输入以及正确的输出。不需要输入的任务只写输出。",
    output_first="请为每个分类任务写出例子：先写一个类别，再写属于这个类别的输入。请使用不同的类别。",
    alpaca=(
        "请写出{count}个互不相同的任务，交给语言模型完成。\n"
        "1. 尽量每次使用不同的动词。\n"
        "2. 既有问句也有祈使句，措辞多样。\n"
        "3. 任务类型要多样：写作、分类、改写、解释、计划等。\n"
        "4. 只要求文字：不要图片、声音，也不要对话之外的行动。\n"
        "5. 使用中文，每条指令一到两句话。\n"
        "6. 输入要有真实内容，不要占位符，不超过100个字。\n"
        "7. 不需要输入时写<noinput>。\n"
        "8. 输出要恰当地回答指令，不超过100个字。"
    ),
    alpaca_list="这{count}个任务：",
    no_input="<noinput>",
    instruction="指令",
    constraints="限制",
    rephrase="请换一种说法表达每条指令，意思不变。",
    original="指令",
    alternative="换一种说法",
)


def wording(language: str) -> Wording:
    """KeyError for a language that there is none for."""
    return {"en": ENGLISH, "zh": CHINESE}[language]
