"""The look at the prompts: a template that loses, repeats or changes what it is given is named."""

import pytest
from transformers import PreTrainedTokenizerFast

from core.errors import UserError
from core.prompts.encoders import GridEncoding
from core.prompts.template_checks import PROBES, check_prompts, prompts_fingerprint
from core.prompts.templates import PromptSettings, prompt_tokens
from core.prompts.vocabulary import embedded_tokenizer
from tests.prompts.test_encoders import ENCODINGS

BASE, CHAT = PromptSettings(), PromptSettings(template="chat")
PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}O"


def with_template(template: str) -> PreTrainedTokenizerFast:
    tokenizer = embedded_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_good_prompts_pass_in_every_encoding(encoding: GridEncoding) -> None:
    check_prompts(embedded_tokenizer(), PromptSettings(encoding=encoding))
    check_prompts(with_template(PLAIN), PromptSettings(encoding=encoding, template="chat"))


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (
            "{% for m in messages %}{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% endif %}"
            "{% endfor %}{% endfor %}A:",
            "makes the same prompt of two tasks: it leaves out the grids",
        ),
        ("{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}", "leaves out the grids"),
        ("{% for m in messages %}{{ m.content * 2 }}{% endfor %}", "repeats grids"),
        ("{% for m in messages %}{{ m.content | truncate(30) }}{% endfor %}", "leaves out . of the 5 grids"),
        ("{% for m in messages %}{{ m.content | replace('7', '1') }}{% endfor %}", "leaves out . of the 5"),
        ("{% for m in messages %}{{ m.content.split('I') | reverse | join('I') }}{% endfor %}", "the order"),
        (PLAIN + "{{ [1, 2] | random }}", "draws at random"),
        (PLAIN + "{{ eos_token }}", "ends the prompt with the end token"),
        ("{{ raise_exception('roles must alternate') }}", r"can't be rendered \(roles must alternate\)"),
        ("{% for m in messages %}{{ m.nothing.deeper }}{% endfor %}", "can't be rendered"),
        ("{% for m in ", "can't be rendered"),
        ("{{ 1 / 0 }}", "can't be rendered"),
    ],
)
def test_a_template_that_spoils_the_prompt_is_named(template: str, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"The chat template of .*{sentence}"):
        check_prompts(with_template(template), CHAT)


def test_a_date_in_a_template_is_always_the_same_one() -> None:
    tokenizer = with_template("{{ strftime_now('%d%m%Y') }}x" + PLAIN)
    check_prompts(tokenizer, CHAT)
    text = tokenizer.decode(prompt_tokens(PROBES[0], CHAT, tokenizer))
    assert "26072024x" in text


def test_a_tokenizer_that_ends_every_text_does_not_end_the_prompt() -> None:
    from tokenizers import processors

    tokenizer = embedded_tokenizer()
    ends = [("<bos>", tokenizer.bos_token_id), ("<eos>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=ends
    )
    assert tokenizer("")["input_ids"][-1] == tokenizer.eos_token_id
    check_prompts(tokenizer, BASE)
    assert prompts_fingerprint(tokenizer, BASE) == prompts_fingerprint(embedded_tokenizer(), BASE)


def test_the_fingerprint_follows_the_tokens_alone() -> None:
    plain = prompts_fingerprint(with_template(PLAIN), CHAT)
    assert plain == prompts_fingerprint(with_template("{# a remark #}" + PLAIN), CHAT)
    assert plain != prompts_fingerprint(with_template(PLAIN + "x"), CHAT)
    assert plain != prompts_fingerprint(with_template(PLAIN), BASE)
