"""jsonargparse's and Python's words for what may be given, as people write them."""

import re


def one_line(message: str) -> str:
    """One line of jsonargparse's several: the option, what is wrong, the value."""
    message = re.sub(r"\[type=.*?input_type=\w+\]", "", message, flags=re.DOTALL)
    message = re.sub(r"For further information visit \S+", "", message)
    message = re.sub(r"\d+ validation errors? for .*\n", "", message)
    message = " ".join(message.split())
    message = re.sub(r"Does not .*? Subtypes: (.*?) Errors: .* Given value: ", r"\1, got ", message)
    message = re.sub(r"\.? Got value: ", ", got ", message)
    message = re.sub(r'Parser key "([^"]*)":', r"\1:", message)
    message = re.sub(r"arguments are required: (\w+)", r"options are required: --\1", message)
    message = re.sub(r": (Expected an? |(?=\[))", ": must be ", plain_types(message))
    return message


def plain_types(text: str) -> str:
    """Python's type names as people write them: `Annotated[int, Ge(ge=1)]` is `int >= 1`."""
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text.replace("typing.", ""))
    for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        text = re.sub(rf"{name.title()}\({name}=([^)]+)\)", rf"{sign} \1", text)
    text = re.sub(r",? ?AllowInfNan\(allow_inf_nan=\w+\)", "", text)
    text = re.sub(r", (Min|Max)Len\((min|max)_length=(\d+)\)", r", \2. \3 items", text)
    text = re.sub(
        r"Annotated\[(\w+(?:\[[^]]*\])?)(?: \| (?:null|None))?,? ([^][]*)\]", r"\1 \2", text
    )
    text = re.sub(r"Optional\[((?:[^][]|\[[^][]*\])*)\]", r"\1 or null", text)
    return re.sub(r"(?:Union|Literal)\[", "one of [", text).replace("NoneType", "null")
