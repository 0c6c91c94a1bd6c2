// What was measured of one span: of a call of a model what it cost and what was said, of a handler its phases.
import type { SpanDetail } from "../api/types";
import { formatCount, formatMs, formatUsd } from "../lib/format";
import { TimeBars, phasesOf } from "../ui/bars";
import { Stat } from "../ui/basics";
import { Value } from "./attributes";
import { messagesOf } from "./messages";

export function ModelCall({ span }: { span: SpanDetail }) {
  const { performance } = span;
  const messages = messagesOf(span.attributes);
  const finish = span.attributes["gen_ai.response.finish_reasons"];
  return (
    <div className="space-y-4 px-4 py-3">
      <div className="text-xs text-text-2">
        {performance?.model ?? "model not told"}
        {performance?.provider && <span className="text-text-3"> · {performance.provider}</span>}
        {Array.isArray(finish) && finish.length > 0 && <span className="text-text-3"> · ended with {finish.join(", ")}</span>}
      </div>
      <div className="grid grid-cols-2 gap-3">
        <Stat label="First token">{formatMs(performance?.ttft_ms)}</Stat>
        <Stat label="Cost">{formatUsd(performance?.cost_usd)}</Stat>
        <Stat label="Tokens in">{formatCount(performance?.prompt_tokens)}</Stat>
        <Stat label="Tokens out">{formatCount(performance?.completion_tokens)}</Stat>
      </div>
      <section>
        <h3 className="label">What was said</h3>
        {messages.length === 0 ? (
          <p className="mt-1.5 text-xs text-text-3">
            Not kept. Contents are written where OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for them.
          </p>
        ) : (
          <ol className="mt-1.5 space-y-2">
            {messages.map((message, at) => (
              // A conversation may say the same twice.
              // oxlint-disable-next-line react/no-array-index-key
              <li key={at} className="rounded-md border border-line px-3 py-2 text-xs">
                <div className="mb-1 text-2xs font-semibold text-text-3">{message.role}</div>
                <Value value={message.text} />
              </li>
            ))}
          </ol>
        )}
      </section>
    </div>
  );
}

export function Performance({ phases: given }: { phases: Record<string, number> }) {
  const phases = phasesOf(given);
  if (phases.length === 0) return <p className="px-4 py-3 text-xs text-text-3">Nothing was measured in this span.</p>;
  return (
    <section className="px-4 py-3">
      <h3 className="label">Phases</h3>
      <TimeBars parts={phases} className="mt-1.5 space-y-1.5" />
    </section>
  );
}
