"""The vocabulary of the made-up catalogue: vendors, families and sentences."""

from random import Random

VENDORS = (
    "lumenforge", "harbor-ai", "tidewater", "granite-bay", "deepwell", "quarry", "glimmer", "northwind",
    "papermill", "saltmarsh", "copperline", "fernhill", "blue_heron", "Old_Mill", "kestrel", "mistral-coast",
    "orchard", "ravelin", "sundial", "vellum",
)  # fmt: skip
FAMILIES = (
    "aurora", "pilot", "longtail", "basalt", "flash", "chisel", "ember", "gale", "quill", "heron", "anvil",
    "fern", "wader", "mytho", "falcon", "tide", "pippin", "bastion", "gnomon", "folio",
)  # fmt: skip
SIZES = ("mini", "8b", "14b-instruct", "32b", "70b-instruct", "pro", "max", "235b-a22b", "vision", "coder")
TOKENIZERS = ("Other", "GPT", "Qwen3", "Gemini", "Mistral", "Claude", "DeepSeek", "Llama3", "Cohere")
INSTRUCT_TYPES = (None, None, None, None, None, None, "chatml", "llama3", "mistral", "qwen3")
MODALITIES = (
    (("text",), ("text",)),
    (("text",), ("text",)),
    (("text", "image"), ("text",)),
    (("text", "image", "file"), ("text",)),
    (("text", "image", "file", "audio", "video"), ("text",)),
    (("text", "image"), ("text", "image")),
)
CONTEXTS = (4096, 8192, 32768, 65536, 128000, 131072, 200000, 262144, 400000, 1000000, 1048576)
PARAMETERS = (
    "frequency_penalty", "include_reasoning", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "min_p", "parallel_tool_calls", "presence_penalty", "reasoning", "reasoning_effort", "repetition_penalty",
    "response_format", "seed", "stop", "structured_outputs", "temperature", "tool_choice", "tools", "top_k",
    "top_logprobs", "top_p", "verbosity",
)  # fmt: skip
ARENA_CATEGORIES = ("website", "dataviz", "gamedev", "uicomponent", "svg", "3d", "asciiart", "slides")

_OPENINGS = (
    "is a {kind} model from {vendor}, {made} for {use}.",
    "continues {vendor}’s line of {kind} models and is {made} for {use}.",
    "brings {quality} to {use}; {vendor} has {made} it as a {kind} model.",
)
_SENTENCES = (
    "It balances {quality} with {quality2} and keeps its footing in {use}.",
    "Compared with its predecessor it shows better {quality} and noticeably more {quality2}.",
    "The weights are {made} on a mixture of code, prose and {data}, with {number} billion active parameters.",
    "In {vendor}’s own measurements it leads on {data} and stays close to larger models in {use}.",
    "Use it where {quality} matters more than {quality2}, for instance in {use}.",
    "Training on {data} gives it {quality}; [see the model card](https://models.example/{number}).",
    "Long inputs of up to {number}K tokens hold together well, which helps in {use}.",
)
_KINDS = ("reasoning", "dense", "Mixture-of-Experts", "multimodal", "compact", "instruction-tuned", "hybrid")
_MADE = ("trained", "tuned", "distilled", "designed", "optimized")
_QUALITIES = (
    "instruction following", "low latency", "steady tool calling", "long-context recall", "factual care",
    "token efficiency", "coherent planning", "fluent dialogue", "visual grounding", "numerical accuracy",
)  # fmt: skip
_USES = (
    "agentic coding", "document analysis", "customer support", "multilingual chat", "retrieval over archives",
    "data extraction", "creative writing", "computer use", "scientific questions", "spreadsheet work",
)  # fmt: skip
_DATA = ("synthetic dialogues", "patents", "theorem proofs", "repositories", "transcripts", "charts", "forms")


def description(rng: Random) -> str:
    """What follows a model's name, about 200 to 800 characters; VENDOR stands for the vendor's name."""
    templates = [rng.choice(_OPENINGS), *rng.sample(_SENTENCES, rng.randint(2, 5))]
    sentences = [
        template.format(
            vendor="VENDOR",
            kind=rng.choice(_KINDS),
            made=rng.choice(_MADE),
            use=rng.choice(_USES),
            data=rng.choice(_DATA),
            quality=rng.choice(_QUALITIES),
            quality2=rng.choice(_QUALITIES),
            number=rng.randint(2, 512),
        )
        for template in templates
    ]
    return " ".join(sentences)
