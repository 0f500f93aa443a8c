"""OpenAI's client for Python against a server: models, chats, responses, streams, cancellation, a file, a job and its result.

    python openai_client.py BASE_URL KEY DATA

Prints one JSON object with what was seen; an assertion that does not hold ends it with a traceback and status 1.
"""

import json
import sys
import time

import openai
import pydantic

base_url, key, data = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)

models = [model.id for model in client.models.list()]
assert len(models) == 1, models
base = models[0]
messages = [{"role": "user", "content": "ka lo"}]
asked = dict(model=base, messages=messages, temperature=0, max_completion_tokens=12)

whole = client.chat.completions.create(**asked)
assert whole.usage.completion_tokens <= 12
pieces, usage = [], None
for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    pieces += [choice.delta.content or "" for choice in chunk.choices]
assert "".join(pieces) == whole.choices[0].message.content
assert usage.total_tokens == whole.usage.total_tokens

long = {**asked, "max_completion_tokens": 400}
with client.chat.completions.create(**long, stream=True) as stream:
    next(iter(stream))
text = client.completions.create(model=base, prompt="ka", max_tokens=4, logprobs=2)
assert len(text.choices[0].logprobs.tokens) == 4

said = dict(model=base, input="ka lo", temperature=0, max_output_tokens=12)
response = client.responses.create(**said)
assert response.output_text == whole.choices[0].message.content
assert response.usage.output_tokens == whole.usage.completion_tokens
assert response.incomplete_details.reason == "max_output_tokens", response
type(response).model_validate(response.model_dump(mode="json", warnings="error"), strict=False)
with client.responses.stream(**said) as stream:
    deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
assert "".join(deltas) == response.output_text


class Lamp(pydantic.BaseModel):
    lit: bool


parsed = client.responses.parse(model=base, input="ka", text_format=Lamp, max_output_tokens=100)
assert isinstance(parsed.output_parsed, Lamp), parsed
tool = {"type": "function", "name": "go", "parameters": {"type": "object", "properties": {"far": {"type": "boolean"}}, "required": ["far"], "additionalProperties": False}, "strict": True}
calling = dict(model=base, tools=[tool], tool_choice="required", parallel_tool_calls=False)
with client.responses.stream(**calling, input="ka") as stream:
    called = stream.get_final_response().output[0]
assert called.type == "function_call" and called.name == "go", called
result = {"type": "function_call_output", "call_id": called.call_id, "output": "there"}
client.responses.create(**said | {"input": [{"role": "user", "content": "ka"}, called, result]})

for call, error, code in [
    (lambda: client.models.retrieve("nobody"), openai.NotFoundError, "model_not_found"),
    (lambda: client.chat.completions.create(**{**asked, "top_p": 7}), openai.BadRequestError, "invalid_value"),
    (lambda: client.responses.create(**said, previous_response_id="resp_1"), openai.BadRequestError, "unsupported_parameter"),
    (lambda: openai.OpenAI(base_url=base_url, api_key="wrong", max_retries=0).models.list(), openai.AuthenticationError, "invalid_api_key"),
]:
    try:
        call()
        raise AssertionError(f"expected {error.__name__}")
    except error as found:
        assert found.code == code, found

with open(data, "rb") as file:
    uploaded = client.files.create(file=file, purpose="fine-tune")
assert client.files.retrieve(uploaded.id).bytes == uploaded.bytes
job = client.fine_tuning.jobs.create(
    model=base,
    training_file=uploaded.id,
    suffix="python",
    seed=1,
    method={"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 2}}},
    extra_body={"graft": {"steps": 4, "maxLength": 64}},
)
deadline = time.monotonic() + 300
while job.status not in ("succeeded", "failed", "cancelled"):
    assert time.monotonic() < deadline, job
    time.sleep(0.2)
    job = client.fine_tuning.jobs.retrieve(job.id)
assert job.status == "succeeded", job
events = list(client.fine_tuning.jobs.list_events(job.id))
checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
tuned = client.chat.completions.create(**{**asked, "model": job.fine_tuned_model})
client.files.delete(uploaded.id)

print(
    json.dumps(
        {
            "openai": openai.__version__,
            "model": base,
            "fine_tuned_model": job.fine_tuned_model,
            "trained_tokens": job.trained_tokens,
            "events": len(events),
            "checkpoints": len(checkpoints),
            "completion_tokens": tuned.usage.completion_tokens,
        }
    )
)
